"""References and pins: one handler for each way in which the kernel takes or drops them (B3)."""

from __future__ import annotations

from errno import ENOMEM

from gupsim.actors.base import handles
from gupsim.actors.base.footprint import READ, WRITE
from gupsim.actors.memmap.pages import Pages
from gupsim.actors.rules.pins import FastHeadRecheck, OverflowGuard, ZeroPagePin
from gupsim.protocol.gup import Grabbed, GrabbedTimes, GrabTimes, TryGrab
from gupsim.protocol.memmap import (
    ZERO_PFN,
    FreeFrozen,
    FreezeRefs,
    GetRefs,
    GrabFolio,
    MaybeDmaPinned,
    MaybePinnedAsked,
    PutRefs,
    ToPin,
    TryGet,
    UnfreezeRefs,
    UnpinRefs,
)
from gupsim.protocol.message import DONE, NO, YES, Done, Flag, Status


class References(Pages):
    """Every change of a refcount is one of these requests, and is traced with its kind and its holder."""

    @handles(GetRefs)
    def get_refs(self, msg: GetRefs) -> Done:
        """folio_ref_add()."""
        self.counts.get(self.folio(msg.pfn), msg.amount, msg.kind, msg.ledger)
        return DONE

    @handles(TryGet)
    def try_get(self, msg: TryGet) -> Flag:
        """folio_try_get(): add unless zero (B1, P6)."""
        pfn = self.folio(msg.pfn)
        if not self.counts.alive(pfn, guard=self.rules.overflow_guard is OverflowGuard.GUARD):
            return NO
        self.counts.get(pfn, msg.amount, msg.kind, msg.holder)
        return YES

    @handles(TryGrab)
    async def try_grab(self, msg: TryGrab) -> Grabbed:
        """try_get_folio(): what page_folio() said may be wrong when the reference is taken; since 5.14 that is noticed.

        A small page is its own head, and stays it while its count is not zero: there it is one step."""
        if not 0 <= msg.pfn < self.frames.size:
            self.bug("gup_pte_range", f"VM_BUG_ON(!pfn_valid(pte_pfn(pte))): {msg.pfn}")
        while True:
            head = self.folio(msg.pfn)
            if self.frames.order(head):
                await self.sleep(0)
            if not self.counts.alive(head, guard=self.rules.overflow_guard is OverflowGuard.GUARD):
                if self.counts.negative(head):
                    self.warn_once("try_get_folio", "WARN_ON_ONCE(folio_ref_count(folio) < 0)")
                return Grabbed(-1)
            self.counts.get(head, msg.amount, "gup", msg.holder)
            if self.rules.fast_head_recheck is FastHeadRecheck.NO or self.folio(msg.pfn) == head:
                return Grabbed(head)
            self._put(head, msg.amount, "gup", msg.holder)

    @handles(ToPin)
    def to_pin(self, msg: ToPin) -> Done:
        """The second half of a fast pin (B1, P7)."""
        pfn = self.folio(msg.pfn)
        if not self.counts.counted:
            return DONE  # 5.6 and before: a pin is a plain reference
        if self._zero_page_ignored(pfn):
            self._put(pfn, msg.amount, "gup", msg.holder)
            return DONE
        self.counts.to_pin(pfn, msg.amount, msg.holder)
        return DONE

    @handles(GrabFolio)
    def grab_folio(self, msg: GrabFolio) -> Status:
        """try_grab_folio() of slow GUP: GET +1, PIN +1024 or the exact count."""
        pfn = self.folio(msg.pfn)
        if self.rules.overflow_guard is OverflowGuard.GUARD and self.counts.overflowed(pfn):
            self.warn_once("try_grab_folio", "WARN_ON_ONCE(folio_ref_count(folio) <= 0)")
            return Status(-ENOMEM)
        if not msg.pin or not self.counts.counted:
            self.counts.get(pfn, msg.amount, "gup", msg.holder)
            self.tail_pins.add_each(pfn, range(msg.pfn, msg.pfn + msg.amount), msg.holder)
        elif not self._zero_page_ignored(pfn):
            self.counts.pin(pfn, msg.amount, msg.holder)
        return Status()

    @handles(GrabTimes)
    def grab_times(self, msg: GrabTimes) -> GrabbedTimes:
        """try_grab_folio() over and over: with the guard of 5.1 the last one to succeed makes the count negative."""
        pfn = self.folio(msg.pfn)
        if self._zero_page_ignored(pfn):
            return GrabbedTimes(msg.times)
        pin = msg.pin and self.counts.counted
        times = msg.times
        if self.rules.overflow_guard is OverflowGuard.GUARD:
            times = min(times, self.counts.room(pfn, pin=pin))
        if not times:
            self.warn_once("try_grab_folio", "WARN_ON_ONCE(folio_ref_count(folio) <= 0)")
        elif pin:
            self.counts.pin(pfn, times, msg.holder)
        else:
            self.counts.get(pfn, times, "gup", msg.holder)
        return GrabbedTimes(times)

    @handles(PutRefs)
    def put_refs(self, msg: PutRefs) -> Flag:
        """put_page(): knows nothing of pins. After FOLL_PIN it leaves 1023 references behind (S31)."""
        pfn = self.folio(msg.pfn)
        if msg.kind == "gup":
            self.tail_pins.add_each(pfn, range(msg.pfn, msg.pfn + msg.pages), msg.ledger, -msg.amount)
        return Flag(self._put(pfn, msg.amount * msg.pages, msg.kind, msg.ledger))

    @handles(UnpinRefs)
    def unpin_refs(self, msg: UnpinRefs) -> Flag:
        """unpin_user_page(): in eras that do not count pins it is put_page()."""
        pfn = self.folio(msg.pfn)
        if not self.counts.counted:
            return Flag(self._put(pfn, msg.amount, "gup", msg.holder))
        if self._zero_page_ignored(pfn):
            return NO
        freed = self.counts.unpin(pfn, msg.amount, msg.holder)
        if self.unpin_sleepers.waiting(pfn):
            self._wake_unpinned(pfn)
        if freed:
            self.free(pfn)
        return Flag(freed)

    @handles(MaybeDmaPinned)
    def maybe_dma_pinned(self, msg: MaybeDmaPinned) -> Flag:
        """folio_maybe_dma_pinned()."""
        pfn = self.folio(msg.pfn)
        answer = self.counts.maybe_pinned(pfn)
        self.trace(MaybePinnedAsked(pfn=pfn, answer=answer, by=msg.by))
        return Flag(answer)

    @handles(FreezeRefs)
    def freeze_refs(self, msg: FreezeRefs) -> Flag:
        """folio_ref_freeze(): cmpxchg(expected, 0)."""
        return Flag(self.counts.freeze(self.folio(msg.pfn), msg.expected))

    @handles(UnfreezeRefs)
    def unfreeze_refs(self, msg: UnfreezeRefs) -> Done:
        """folio_ref_unfreeze()."""
        self.counts.unfreeze(self.folio(msg.pfn), msg.count)
        return DONE

    @handles(FreeFrozen)
    def free_frozen(self, msg: FreeFrozen) -> Done:
        """The end of __remove_mapping: nobody else can have a reference."""
        pfn = self.folio(msg.pfn)
        self.counts.drop_frozen(pfn)
        self.free(pfn)
        return DONE

    def _zero_page_ignored(self, pfn: int) -> bool:
        return pfn == ZERO_PFN and self.rules.zero_page_pin is ZeroPagePin.IGNORED

    def _put(self, pfn: int, amount: int, kind: str, holder: str) -> bool:
        freed = self.counts.put(pfn, amount, kind, holder)
        if self.unpin_sleepers.waiting(pfn) and self.counts.plain_matters(pfn):
            self._wake_unpinned(pfn)
        if freed:
            self.free(pfn)
        return freed

    def _wake_unpinned(self, pfn: int) -> None:
        # Recorded as a write: with sleepers it matters which of several puts was the last one.
        self.recorder.note(self.counts.pins.field, pfn, READ | WRITE)
        if not self.counts.maybe_pinned(pfn):
            self.unpin_sleepers.wake(pfn)
