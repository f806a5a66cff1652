"""The MM core."""

from actors.mm.advice import Advice
from actors.mm.collapse import Collapse
from actors.mm.device_maps import DeviceMaps
from actors.mm.fork import Fork
from actors.mm.gup import Gup
from actors.mm.migrate import Migrate
from actors.mm.observe import Observed
from actors.mm.rmap import Rmap
from actors.mm.walks import Walks


class Mm(Advice, Collapse, DeviceMaps, Fork, Gup, Migrate, Observed, Rmap, Walks):
    """mm/: address spaces, page tables, faults, slow GUP, reverse map."""


__all__ = ["Mm"]
