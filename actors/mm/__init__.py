"""The MM core."""

from gupsim.actors.mm.advice import Advice
from gupsim.actors.mm.collapse import Collapse
from gupsim.actors.mm.device_maps import DeviceMaps
from gupsim.actors.mm.fork import Fork
from gupsim.actors.mm.gup import Gup
from gupsim.actors.mm.migrate import Migrate
from gupsim.actors.mm.observe import Observed
from gupsim.actors.mm.rmap import Rmap
from gupsim.actors.mm.walks import Walks


class Mm(Advice, Collapse, DeviceMaps, Fork, Gup, Migrate, Observed, Rmap, Walks):
    """mm/: address spaces, page tables, faults, slow GUP, reverse map."""


__all__ = ["Mm"]
