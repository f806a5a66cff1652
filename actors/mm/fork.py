"""fork(): a second address space that shares the pages of the first one, as far as pins allow it (B8)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from msgspec.structs import replace

from gupsim.actors.base import handles
from gupsim.actors.mm.core import ENOMEM, mapping_ledger
from gupsim.actors.mm.faults import Faults
from gupsim.actors.mm.layout import Layout
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.mm.thp import Thp
from gupsim.actors.rules.faults import CowReuse, ForkPinned, ForkSequence
from gupsim.actors.rules.hugetlb import HugetlbChild, HugetlbFork
from gupsim.protocol import memmap
from gupsim.protocol.memmap import Page
from gupsim.protocol.message import Status
from gupsim.protocol.mm import ExitMm, ForkMm, MmLayout
from gupsim.protocol.pagetable import Entry, EntryKind
from gupsim.protocol.reclaim import LruAdd, SwapDuplicate

_ANON = Page.ANON | Page.SWAPBACKED | Page.UPTODATE | Page.ANON_EXCLUSIVE


_HUGETLB = {
    HugetlbFork.SHARE: ForkPinned.SHARE,
    HugetlbFork.COPY: ForkPinned.COPY,
    HugetlbFork.COPY_EXCLUSIVE: ForkPinned.COPY_EXCLUSIVE,
}


class _Copied(Enum):
    """What came of one entry."""

    SHARED = 1
    COPIED = 2
    NEEDS_PAGE = 3
    """It must be copied at once, and there is no page at hand."""
    SPLIT = 4
    """A huge leaf whose page may be pinned: it must be split first. Or it is split already."""


class Fork(Faults, Layout, Thp):
    """dup_mmap(), with mmap_lock of the parent held for writing. A fast pin takes no lock: what keeps it out is
    write_protect_seq (5.11), or nothing (S09)."""

    @handles(ForkMm)
    async def fork_mm(self, msg: ForkMm) -> Status:
        """dup_mmap(): each mapping, then the flush of the parent's translations, at the very end."""
        parent = self.space(msg.parent)
        error = 0
        async with parent.mmap_lock:
            child = self.space(msg.child)
            child.next_address = parent.next_address
            for vma in parent.vmas:
                if vma.fork == "dont":
                    continue
                child.set_vmas([*child.vmas, vma])
                # MADV_WIPEONFORK: the mapping without its pages.
                error = await self._copy_page_range(parent, child, vma) if vma.fork == "copy" else 0
                if error:
                    break
            # Until here other threads of the parent may store through stale translations.
            await self.shootdown(parent, 0, 0)
        if error:
            await self.exit(ExitMm(msg.child))
        else:
            self.trace(MmLayout(mm=msg.parent, what="fork", address=0, pages=0))
        return Status(error)

    async def _copy_page_range(self, parent: AddressSpace, child: AddressSpace, vma: Vma) -> int:
        """copy_page_range(): 0 or -ENOMEM."""
        if not vma.device and (vma.shared or not (vma.hugetlb or self._needs_copy(parent, vma))):
            return 0
        counted = self.rules.fork_sequence is ForkSequence.SEQCOUNT and not vma.shared
        if vma.hugetlb:
            counted = counted and self.rules.hugetlb_fork is HugetlbFork.COPY_EXCLUSIVE
        if counted:
            parent.write_protect_seq += 1
        error = 0
        if vma.hugetlb:
            error = await self._copy_hugetlb_page_range(parent, child, vma)
        for slots in self._tables_of(parent, vma) if not vma.hugetlb else ():
            error = await self._copy_table(parent, child, vma, slots)
            if error:
                break
        if counted:
            parent.write_protect_seq += 1
        return error

    def _needs_copy(self, parent: AddressSpace, vma: Vma) -> bool:
        """vma_needs_copy(): a fault fills the entries of a file mapping just as well, unless it has private copies."""
        if not vma.fs:
            return True
        # No lock is held, and reclaim clears an entry for a moment before it names a place in swap.
        mapped = (place for places in self.anon_rmap.values() for place in places)
        if any(mm == parent.mm and vma.start <= address < vma.end for mm, address in mapped):
            return True
        return any(slot.entry.kind == EntryKind.SWAP for slot in self.tables.range(parent, vma.start, vma.end))

    def _tables_of(self, parent: AddressSpace, vma: Vma) -> Iterator[list[Slot]]:
        """The places of entries, table by table; what stands there is to be looked at under the lock."""
        slots: list[Slot] = []
        for slot in self.tables.range(parent, vma.start, vma.end):
            if slots and slots[0].table != slot.table:
                yield slots
                slots = []
            slots.append(slot)
        if slots:
            yield slots

    async def _copy_table(self, parent: AddressSpace, child: AddressSpace, vma: Vma, slots: list[Slot]) -> int:
        """copy_pte_range(), copy_huge_pmd(): under the locks of both tables. A page that must be copied at once needs a
        new page, which is not to be had with the locks held: drop them, allocate, go on where it stopped."""
        done = error = 0
        spare = -1
        while done < len(slots):
            came = _Copied.SHARED
            there = self.tables.make(child, slots[done].address, slots[done].level)
            async with there.lock, slots[done].lock:
                while done < len(slots):
                    slot = slots[done]
                    there = self.tables.make(child, slot.address, slot.level)
                    came = await self._copy_entry(parent, child, vma, slot, there, spare=spare)
                    if came in (_Copied.NEEDS_PAGE, _Copied.SPLIT):
                        break
                    spare = -1 if came is _Copied.COPIED else spare
                    done += 1
            if came is _Copied.NEEDS_PAGE:
                spare = (await self.ask(self.memmap, memmap.AllocPages("anon"))).pfn
                error = ENOMEM if spare < 0 else 0
            elif came is _Copied.SPLIT:
                await self.wait_split(parent, slots[done])
                await self.split_huge_pmd(parent, slots[done])
                parts = self.tables.range(parent, slots[done].start, slots[done].start + self.tables.span(1))
                error = await self._copy_table(parent, child, vma, list(parts))
                done += 1
            if error:
                break
        if spare >= 0:
            await self.put_own(spare, "alloc")
        return error

    async def _copy_entry(
        self, parent: AddressSpace, child: AddressSpace, vma: Vma, slot: Slot, there: Slot, *, spare: int
    ) -> _Copied:
        """copy_present_pte(), copy_nonpresent_pte(), copy_huge_pmd()."""
        entry = slot.entry
        if entry.kind in (EntryKind.SWAP, EntryKind.MIGRATION):
            await self._copy_nonpresent(parent, child, slot, there, entry)
        if entry.kind == EntryKind.TABLE or entry.splitting:
            return _Copied.SPLIT  # reclaim was faster
        if entry.kind != EntryKind.PAGE:
            return _Copied.SHARED
        if not entry.special:
            if not vma.shared and await self._must_copy(parent, entry, self.rules.fork_pinned):
                if slot.level:
                    return _Copied.SPLIT
                if spare < 0:
                    return _Copied.NEEDS_PAGE
                await self._copy_at_once(child, vma, there, entry, spare)
                return _Copied.COPIED
            await self._share(child, there, entry)
            if slot.level:
                self.deposit(there, self.tables.new_table()[0])
        await self._write_protect(parent, child, slot, there, entry, shared=vma.shared)
        return _Copied.SHARED

    async def _copy_hugetlb_page_range(self, parent: AddressSpace, child: AddressSpace, vma: Vma) -> int:
        """copy_hugetlb_page_range(): the child has no promises of the pool; a copy at once needs a page that nobody was
        promised (-ENOSPC, which the caller of fork sees as -ENOMEM)."""
        rule = self.rules.hugetlb_fork
        for slot in list(self.tables.range(parent, vma.start, vma.end)):
            there = self.tables.make(child, slot.address, slot.level)
            copied = NONE
            copy = -1
            while True:
                async with there.lock, slot.lock:
                    entry = slot.entry
                    if copy >= 0 and entry == copied:
                        anyhow = self.rules.hugetlb_child is HugetlbChild.WRITABLE
                        writable = anyhow or vma.writable()
                        await self.install_huge(child, vma, there, copy, child=writable, why="fork")
                        break
                    shared = entry.kind != EntryKind.PAGE or not await self._must_copy(parent, entry, _HUGETLB[rule])
                    if shared and entry.kind == EntryKind.PAGE:
                        await self._share(child, there, entry)
                        await self._write_protect(parent, child, slot, there, entry)
                if copy >= 0:
                    await self.put_own(copy, "alloc")
                if shared:
                    break
                copied = entry
                copy = await self.copy_huge(entry.target, vma.hugetlb)
                if copy < 0:
                    return ENOMEM
        return 0

    async def _write_protect(
        self, parent: AddressSpace, child: AddressSpace, slot: Slot, there: Slot, entry: Entry, *, shared: bool = False
    ) -> None:
        """ptep_set_wrprotect() unless the mapping is shared, and the child's entry, which is clean then."""
        if entry.writable and not shared:
            entry = replace(slot.entry, writable=False)
            await self.set_entry(parent, slot, entry, "fork")
        await self.set_entry(child, there, replace(entry, young=False, dirty=entry.dirty and not shared), "fork")

    async def _must_copy(self, parent: AddressSpace, entry: Entry, rule: ForkPinned) -> bool:
        """page_needs_cow_for_dma(), and from 5.19 page_try_dup_anon_rmap(): is the page the parent's alone, and may it
        be pinned? If not it ceases to be the parent's alone.

        The entry is still writable here. That a fast pin does not slip in between the question and the write
        protection is the promise of write_protect_seq alone (f3c64eda3e50)."""
        pfn = entry.target
        exclusive = False
        if rule is ForkPinned.COPY_EXCLUSIVE or self.rules.cow_reuse is CowReuse.EXCLUSIVE:
            flags = await self.ask(self.memmap, memmap.ReadFlags(pfn, Page.ANON_EXCLUSIVE))
            exclusive = bool(flags.flags)
        asks = exclusive if rule is ForkPinned.COPY_EXCLUSIVE else rule is ForkPinned.COPY
        if asks and parent.has_pinned and (await self.ask(self.memmap, memmap.MaybeDmaPinned(pfn, "fork"))).yes:
            self.rules.decide("fork_pinned")
            return True
        if exclusive:
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, clear=Page.ANON_EXCLUSIVE))
        return False

    async def _share(self, child: AddressSpace, there: Slot, entry: Entry) -> None:
        """get_page(), page_dup_rmap()."""
        ledger = mapping_ledger(child, there.start)
        await self.ask(self.memmap, memmap.GetRefs(entry.target, 1, "map", ledger))
        await self.ask(self.memmap, memmap.AddMaps(entry.target, 1, entire=there.level > 0))
        if self._is_anon_entry(entry):
            self.track_anon(entry.target, child, there.start)

    async def _copy_at_once(self, child: AddressSpace, vma: Vma, there: Slot, entry: Entry, spare: int) -> None:
        """copy_present_page(): the child gets a page of its own; the parent's entry stays as it is."""
        await self.copy_content(entry.target, spare)
        await self.ask(self.memmap, memmap.ChangeFlags(spare, set=_ANON))
        await self.add_mapping(child, there, spare, adopt="alloc")
        self.track_anon(spare, child, there.address)
        made = Entry(kind=EntryKind.PAGE, target=spare, writable=vma.writable(), dirty=True, young=True)
        await self.set_entry(child, there, made, "fork")
        await self.ask(self.reclaim, LruAdd(spare, anon=True))

    async def _copy_nonpresent(
        self, parent: AddressSpace, child: AddressSpace, slot: Slot, there: Slot, entry: Entry
    ) -> None:
        """A swap entry names its slot once more; nothing that it remembers is the parent's alone from now on."""
        if entry.kind == EntryKind.SWAP:
            await self.ask(self.reclaim, SwapDuplicate(entry.target))
        elif self._is_anon_entry(entry):
            self.track_anon(entry.target, child, there.address)
        shared = replace(entry, exclusive=False, writable=False)
        if shared != entry:
            await self.set_entry(parent, slot, shared, "fork")
        await self.set_entry(child, there, shared, "fork")

    def _is_anon_entry(self, entry: Entry) -> bool:
        return bool(self.anon_rmap.get(entry.target, ()))
