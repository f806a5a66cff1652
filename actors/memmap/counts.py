"""Reference counts, pins and mappings of every page: the rules of B3."""

from __future__ import annotations

from typing import Final

from gupsim.actors.base import Column, KernelActor, Refs
from gupsim.actors.base.footprint import COMMUTE, READ, WRITE
from gupsim.actors.memmap.frames import MAX_ORDER, Frames
from gupsim.actors.memmap.vmstat import Vmstat
from gupsim.actors.rules.pins import DebugVm, OverflowGuard, PinApi
from gupsim.protocol.memmap import PIN_BIAS, ZERO_PFN, PageBadCount, PageGet, PagePut

_TRANSIENT: Final = ("isolate", "lookup")
"""Kinds of references that a freeze may count as the caller's own; remembered while they are held."""

_EXACT_ORDER: Final = {PinApi.BIAS: 2, PinApi.BIAS_ALL_LARGE: 1}
"""Smallest order of a folio whose pins are counted exactly, by rule; with the others there is none."""

_FEW: Final = 512
"""Plain references below which no race can make them look like a pin: no search has 512 threads."""

_FAR: Final = 1 << 30
"""A count below this is out of reach of the sign bit, for the same reason."""


class PageCounts:
    """`_refcount`, pins and `_mapcount`, one machine integer each per page.

    `pins` is what the count means: on a large folio the kernel's own `_pincount`, on a small one 1024
    references each. It is a footprint object of its own, so that asking for pins does not depend on plain
    references (granularity.md, rule 3b); near the limits, where it does depend on them, they are recorded too.
    """

    def __init__(self, actor: KernelActor, frames: Frames, vmstat: Vmstat) -> None:
        self._actor = actor
        self._frames = frames
        self._vmstat = vmstat
        self.counted = actor.rules.pin_api not in (PinApi.NONE, PinApi.PLACEHOLDER)
        self._exact_order = _EXACT_ORDER.get(actor.rules.pin_api, MAX_ORDER + 1)
        self._debug = actor.rules.debug_vm is DebugVm.ON
        self._guarded = actor.rules.overflow_guard is OverflowGuard.GUARD
        self.refs = Refs(actor, "page.refs", frames.size)
        self.pins = Column(actor, "page.pins", "i", frames.size)
        self.maps = Column(actor, "page.maps", "i", frames.size)
        self._transient: dict[int, dict[tuple[str, str], int]] = {}
        self._frozen: dict[int, int] = {}
        self._pinners: dict[int, dict[str, int]] = {}

    @property
    def bytes_per_page(self) -> int:
        """What a page costs in here."""
        return self.refs.counts.itemsize + self.pins.data.itemsize + self.maps.data.itemsize

    def new(self, pfn: int, holder: str) -> None:
        """set_page_refcounted(): the first reference, of whoever allocates."""
        self.refs.set(pfn, 0)
        self.refs.get(pfn, 1, holder)
        self._actor.recorder.note(self.pins.field, pfn, WRITE)
        self._got(pfn, 1, "alloc", holder)

    def get(self, pfn: int, amount: int, kind: str, holder: str) -> None:
        """page_ref_add()."""
        self._add(pfn, amount, holder)
        self._got(pfn, amount, kind, holder)

    def put(self, pfn: int, amount: int, kind: str, holder: str) -> bool:
        """page_ref_sub_and_test(); True if the page is to be freed."""
        freed = self._subtract(pfn, amount, holder)
        self._gave(pfn, amount, kind, holder)
        return freed

    def pin(self, pfn: int, amount: int, holder: str) -> None:
        """FOLL_PIN: +1024 on a small folio, +1 and the exact pin count on a large one."""
        self._add(pfn, amount if self._exact(pfn) else PIN_BIAS * amount, holder)
        self._pinned(pfn, amount, holder)
        self._got(pfn, amount, "pin", holder)

    def to_pin(self, pfn: int, amount: int, holder: str) -> None:
        """B1, P7: +1023 for each reference that the speculative get took, or the exact pin count."""
        if not self._exact(pfn):
            self._add(pfn, (PIN_BIAS - 1) * amount, holder)
        self._pinned(pfn, amount, holder)
        self._gave(pfn, amount, "gup", holder, converted=True)
        self._got(pfn, amount, "pin", holder)

    def unpin(self, pfn: int, amount: int, holder: str) -> bool:
        """The reverse of `pin`, whatever the page was acquired with (mismatch table of B3); True if it is freed."""
        exact = self._exact(pfn)
        freed = self._subtract(pfn, amount if exact else PIN_BIAS * amount, holder)
        self._add_pins(pfn, -amount)
        self._unpinned(pfn, amount, holder)
        self._vmstat.add("nr_foll_pin_released", amount)
        self._gave(pfn, amount, "pin", holder)
        if exact and self.pins.data[pfn] < 0:
            # The references are balanced, the pins are not: a real pinner has become invisible.
            self._bad(pfn, "underflow")
        return freed

    def rename(
        self, pfn: int, amount: int, was: tuple[str, str], becomes: tuple[str, str], *, quiet: bool = False
    ) -> None:
        """References change their kind and holder, the count does not. quiet: the kind does not either."""
        self.refs.get(pfn, amount, becomes[1])
        self.refs.put(pfn, amount, was[1])
        if not quiet:
            self._gave(pfn, amount, *was)
            self._got(pfn, amount, *becomes)

    def overflowed(self, pfn: int) -> bool:
        """Not positive: what the guards of 5.1 look at."""
        count = self.refs.counts[pfn]
        if not 0 < count < _FAR:
            self.refs.read(pfn)
        return count <= 0

    def room(self, pfn: int, *, pin: bool) -> int:
        """How many gets the guard lets pass one after the other: the last one makes the count negative."""
        count = self.refs.read(pfn)
        step = PIN_BIAS if pin and not self._exact(pfn) else 1
        return -((count - (1 << 31)) // step) if count > 0 else 0

    def alive(self, pfn: int, *, guard: bool) -> bool:
        """May a speculative get add to it? Zero is free or frozen; negative is refused by the guard."""
        count = self.refs.counts[pfn]
        if count == 0 or (guard and count < 0):
            self.refs.read(pfn)
            return False
        return True

    def negative(self, pfn: int) -> bool:
        """Has it wrapped? Only asked of a page that `alive` refused, which has noted the look."""
        return self.refs.counts[pfn] < 0

    def maybe_pinned(self, pfn: int) -> bool:
        """folio_maybe_dma_pinned(): exact on large folios; on small ones any 1024 references look like a pin, and
        the comparison is unsigned, so that a count that overflowed still does."""
        pins = self.pins[pfn]
        if self._exact(pfn):
            return pins > 0
        if self.plain_matters(pfn):
            self.refs.read(pfn)
        return self.refs.counts[pfn] & 0xFFFF_FFFF >= PIN_BIAS

    def plain_matters(self, pfn: int) -> bool:
        """True if plain references could decide whether the page looks pinned."""
        if self._exact(pfn):
            return False
        plain = self.refs.counts[pfn] - PIN_BIAS * self.pins.data[pfn]
        return not 0 <= plain < _FEW

    def freeze(self, pfn: int, expected: int) -> bool:
        """folio_ref_freeze()."""
        if self.refs.read(pfn) != expected:
            return False
        odd = self.plain_matters(pfn)
        self.refs.set(pfn, 0)
        self._note_odd(pfn, was=odd)
        self._frozen[pfn] = expected
        return True

    def unfreeze(self, pfn: int, count: int) -> None:
        """folio_ref_unfreeze(). Fewer than were frozen: what the page cache held is gone."""
        gone = self._frozen.pop(pfn) - count
        odd = self.plain_matters(pfn)
        self.refs.set(pfn, count)
        self._note_odd(pfn, was=odd)
        if gone > 0:
            self._gave(pfn, gone, "cache", "")

    def frozen(self, pfn: int) -> bool:
        """Did a freeze succeed that was not undone yet?"""
        return pfn in self._frozen

    def part(self, pfn: int, count: int, kind: str, holder: str) -> None:
        """A page of a folio that falls apart gets references of its own."""
        self.refs.set(pfn, 0)
        self.refs.get(pfn, count, holder)
        self._got(pfn, count, kind, holder)

    def hand_over(self, head: int, tail: int, amount: int, holder: str) -> None:
        """References of a folio that were meant for a page of it become the page's."""
        self.get(tail, amount, "gup", holder)
        self.put(head, amount, "gup", holder)

    def drop_frozen(self, pfn: int) -> None:
        """Every reference of a frozen page goes: those that its callers hold, the rest is the page cache's."""
        left = self._frozen.pop(pfn)
        for (kind, holder), amount in list(self._transient.get(pfn, {}).items()):
            self._gave(pfn, amount, kind, holder)
            left -= amount
        if left > 0:
            self._gave(pfn, left, "cache", "")

    def clear(self, pfn: int) -> tuple[int, int]:
        """The page is freed; returns the mappings and pins that it still had, both 0 in a sound kernel."""
        # Looked at, also by the search: a free after a wrong put finds one or the other by the order of others.
        maps, pins = self.maps[pfn], self.pins[pfn]
        if maps:
            self.maps[pfn] = 0
        if pins:
            self.pins[pfn] = 0
        self._transient.pop(pfn, None)
        self._pinners.pop(pfn, None)
        return maps, pins

    def _exact(self, pfn: int) -> bool:
        return self._frames.order(pfn) >= self._exact_order

    def _pinned(self, pfn: int, amount: int, holder: str) -> None:
        self._add_pins(pfn, amount)
        self._vmstat.add("nr_foll_pin_acquired", amount)
        if self._actor.recorder.log is not None:
            held = self._pinners.setdefault(pfn, {})
            held[holder] = held.get(holder, 0) + amount

    def _add_pins(self, pfn: int, amount: int) -> None:
        """atomic_add(&folio->_pincount): 8,192 pins of a whole 1 GiB page make it negative."""
        before = self.pins.data[pfn]
        self.pins.add(pfn, (before + amount + (1 << 31)) % (1 << 32) - (1 << 31) - before)

    def _unpinned(self, pfn: int, amount: int, holder: str) -> None:
        # As in Refs: an unpin commutes with others if its holder really has the pin. Nobody sees the order then.
        if self._actor.recorder.log is None:
            return
        held = self._pinners.get(pfn, {})
        left = held.get(holder, 0) - amount
        if left > 0:
            held[holder] = left
        else:
            held.pop(holder, None)
        if left < 0:
            self._actor.recorder.note(self.pins.field, pfn, READ | WRITE)

    def _add(self, pfn: int, delta: int, holder: str) -> None:
        before = self.refs.counts[pfn]
        if before <= 0 and self._debug:
            self._actor.bug("get_page", f"VM_BUG_ON_PAGE(page_ref_count(page) <= 0): {before}", pfn)
        odd = self.plain_matters(pfn)
        self.refs.get(pfn, delta, holder)
        after = self.refs.counts[pfn]
        self._note_odd(pfn, was=odd)
        if not 0 < before <= after < _FAR:
            self._actor.recorder.note(self.refs.field, pfn, READ | WRITE)
        if before == 0:
            # A plain get of a free or frozen page, by somebody who took it for alive.
            self._bad(pfn, "resurrection")
        elif before < 0 <= after or (after < before and not self._guarded):
            # With the guard a negative count is still 32 bits without a sign: nobody gets a reference any more.
            self._bad(pfn, "overflow")

    def _subtract(self, pfn: int, delta: int, holder: str) -> bool:
        before = self.refs.counts[pfn]
        if before < delta and self._debug:
            self._actor.bug("put_page", f"VM_BUG_ON_PAGE(page_ref_count(page) < refs): {before} < {delta}", pfn)
        odd = self.plain_matters(pfn)
        zero = self.refs.put(pfn, delta, holder)
        self._note_odd(pfn, was=odd)
        # The zero page has one reference that nobody may drop; it is never freed.
        # Without a sign: a count that passed 2**31 is still good for as many puts.
        if before & 0xFFFF_FFFF < delta or (zero and pfn == ZERO_PFN):
            self._bad(pfn, "underflow")
            return False
        return zero

    def _note_odd(self, pfn: int, *, was: bool) -> None:
        # Where plain references could decide whether the page looks pinned, they count as pins.
        if was or self.plain_matters(pfn):
            self._actor.recorder.note(self.pins.field, pfn, COMMUTE)

    def _got(self, pfn: int, amount: int, kind: str, holder: str) -> None:
        if kind in _TRANSIENT:
            held = self._transient.setdefault(pfn, {})
            held[kind, holder] = held.get((kind, holder), 0) + amount
        self._actor.trace(PageGet(pfn=pfn, amount=amount, kind=kind, holder=holder, refs=self.refs.counts[pfn]))

    def _gave(self, pfn: int, amount: int, kind: str, holder: str, *, converted: bool = False) -> None:
        if kind in _TRANSIENT:
            self._forget(pfn, amount, kind, holder)
        refs = self.refs.counts[pfn]
        self._actor.trace(PagePut(pfn=pfn, amount=amount, kind=kind, holder=holder, refs=refs, converted=converted))

    def _forget(self, pfn: int, amount: int, kind: str, holder: str) -> None:
        held = self._transient.get(pfn)
        if held is None:
            return
        held[kind, holder] = held.get((kind, holder), 0) - amount
        if held[kind, holder] <= 0:
            del held[kind, holder]
        if not held:
            del self._transient[pfn]

    def _bad(self, pfn: int, what: str) -> None:
        self._actor.trace(PageBadCount(pfn=pfn, what=what, refs=self.refs.counts[pfn]))
