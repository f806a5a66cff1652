"""vmscan."""

from gupsim.actors.base import Port
from gupsim.actors.reclaim.shrink import Shrinker
from gupsim.actors.rules import KernelRules


class Reclaim(Shrinker):
    """mm/vmscan.c and swap of one host.

    swap_block: local name of the swap device ("block/swap"), "" for none; swap_slots: its size in pages.
    """

    def __init__(
        self, address: str, port: Port, *, rules: KernelRules, swap_block: str = "", swap_slots: int = 0
    ) -> None:
        super().__init__(address, port, rules=rules, block=swap_block, slots=swap_slots)


__all__ = ["Reclaim"]
