"""The MM core."""

from actors.mm.gup import Gup
from actors.mm.layout import Layout
from actors.mm.rmap import Rmap
from actors.mm.walks import Walks


class Mm(Gup, Layout, Rmap, Walks):
    """mm/: address spaces, page tables, faults, slow GUP, reverse map."""


__all__ = ["Mm"]
