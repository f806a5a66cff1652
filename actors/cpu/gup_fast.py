"""get_user_pages_fast() and pin_user_pages_fast(): arguments, the walk with interrupts off, what is left (B1)."""

from __future__ import annotations

import errno

from gupsim.actors.base import handles
from gupsim.actors.cpu.walk import LocklessWalk
from gupsim.actors.rules.faults import ForkSequence
from gupsim.actors.rules.gup_flags import refuse_flags
from gupsim.actors.rules.pins import FastGup, FastRange
from gupsim.protocol import mm, pagetable
from gupsim.protocol.cpu import GetUserPagesFast
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Foll, PagesPinned, UserPages
from gupsim.protocol.pages import NO_PAGES, Pages


class GupFast(LocklessWalk):
    """The lockless walk takes what it can, the slow path the rest."""

    @handles(GetUserPagesFast)
    async def get_user_pages_fast(self, msg: GetUserPagesFast) -> UserPages:
        """Short counts are no error; the errno of a later page is lost if an earlier one was obtained."""
        error, why = refuse_flags(msg.flags, self.rules, fast=True)
        if error:
            self.warn("mm/gup.c", why)
            return self._report(msg, UserPages(error))
        sequence = 0
        if msg.flags & Foll.PIN:
            # MMF_HAS_PINNED comes before every check of the range: a call that is refused sets it as well.
            sequence = (await self.ask(self.mm, pagetable.FastPinBegin(msg.mm))).sequence
        refused = self._refuse_range(msg)
        if refused is not None:
            return self._report(msg, UserPages(refused))
        got = NO_PAGES if self._vetoed(msg) else await self._fast(msg, sequence)
        if len(got) == msg.nr or msg.flags & Foll.FAST_ONLY:
            return self._report(msg, UserPages(len(got), got))
        start = (msg.address & -PAGE_SIZE) + len(got) * PAGE_SIZE
        rest = mm.GetUserPages(msg.mm, start, msg.nr - len(got), msg.flags, msg.holder, inner=True)
        slow = await self.ask(self.mm, rest)
        if slow.result < 0:
            return self._report(msg, UserPages(len(got) or slow.result, got))
        return self._report(msg, UserPages(len(got) + slow.result, got + slow.pfns))

    def _refuse_range(self, msg: GetUserPagesFast) -> int | None:
        """Step 3: what a bad range gives, by era; None if the call goes on."""
        rule = self.rules.fast_range
        if self.rules.fast_gup is FastGup.NONE:
            return 0 if msg.flags & Foll.FAST_ONLY else None
        overflow, beyond = self._range(msg)
        if rule is FastRange.CANONICAL:
            # access_ok() in the form without a slow path only; the other form lets the slow path decide.
            return 0 if msg.flags & Foll.FAST_ONLY and (overflow or beyond) else None
        if rule is FastRange.ACCESS_OK and msg.nr <= 0:
            return 0
        if rule is FastRange.EMPTY_ZERO and (msg.nr <= 0 or overflow):
            return 0
        if rule is FastRange.OVERFLOW_ZERO and overflow:
            return 0
        error = -errno.EOVERFLOW if overflow and rule is FastRange.OVERFLOW_ERRNO else -errno.EFAULT
        if not (overflow or beyond):
            return None
        # Until get_user_pages_fast_only() of recent kernels this form never returned an error.
        return error if rule is FastRange.OVERFLOW_ERRNO or not msg.flags & Foll.FAST_ONLY else 0

    def _vetoed(self, msg: GetUserPagesFast) -> bool:
        """Step 4, gup_fast_permitted(), and what had no lockless walk at all."""
        return self.rules.fast_gup is FastGup.NONE or any(self._range(msg))

    def _range(self, msg: GetUserPagesFast) -> tuple[bool, bool]:
        """Does the range run past the end of the addresses; past the user half? A negative number of pages does: it
        becomes a huge unsigned one."""
        end = (msg.address & -PAGE_SIZE) + msg.nr * PAGE_SIZE
        overflow = end >= 1 << 64 or msg.nr < 0
        return overflow, end > 1 << (self.bits * self.levels + 11)

    async def _fast(self, msg: GetUserPagesFast, sequence: int) -> Pages:
        """Steps 5 and 6, the walk, and the exit. sequence: write_protect_seq, for a pin."""
        counted = bool(msg.flags & Foll.PIN) and self.rules.fork_sequence is ForkSequence.SEQCOUNT
        if counted and sequence % 2:
            return NO_PAGES
        await self.irq_save("GUP-fast", msg.mm)
        got = await self.walk(msg)
        self.irq_restore()
        if counted:
            now = (await self.ask(self.mm, pagetable.FastPinEnd(msg.mm))).sequence
            if now != sequence:
                for pfn, count in got.runs:
                    await self.drop(pfn, count, msg)
                return NO_PAGES
        return got

    def _report(self, msg: GetUserPagesFast, result: UserPages) -> UserPages:
        self.trace(PagesPinned.of(msg, result, fast=True))
        return result
