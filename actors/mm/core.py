"""What all parts of the MM core share: its state, references of mappings, the TLB shootdown."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeAlias

from msgspec.structs import replace

from gupsim.actors.base import KernelActor, Map, Port
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import PageTables, Slot
from gupsim.actors.rules import KernelRules
from gupsim.actors.rules.pins import PteRead
from gupsim.actors.rules.tables import TlbFlush
from gupsim.protocol import memmap
from gupsim.protocol.cpu import FlushTlb, SyncIpi
from gupsim.protocol.fs import SetPageDirty
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.pagetable import HIGH, LOW, Entry, EntryChanged, EntryKind, word_of

_FLUSH_CEILING = 33
"""tlb_single_page_flush_ceiling: of more pages than that, everything is flushed."""

Place: TypeAlias = tuple[AddressSpace, Vma, int]
"""Where a page may be mapped: an address in a mapping."""


class MmCore(KernelActor):
    """State of the MM core and the steps that its parts have in common.

    levels, bits: shape of the page tables. cpus: all CPUs of the host, as "cpu/0". chunk: bytes that a copy loop
    moves in one step. swap: there is a swap area, so that pages may be in its cache. max_ptes: khugepaged's limits
    max_ptes_none, max_ptes_swap and max_ptes_shared; the kernel's default for None. dirty_limit: pages beyond which who
    dirties one has to wait; 0 for none.
    """

    def __init__(
        self,
        address: str,
        port: Port,
        *,
        rules: KernelRules,
        levels: int = 4,
        bits: int = 9,
        cpus: tuple[str, ...] = (),
        chunk: int = PAGE_SIZE,
        swap: bool = False,
        max_ptes: tuple[int | None, int | None, int | None] = (None, None, None),
        dirty_limit: int = 0,
    ) -> None:
        super().__init__(address, port, rules=rules)
        self.dirty_limit = dirty_limit
        self.swap = swap
        huge = 1 << bits
        defaults = (huge - 1, max(huge // 8, 1), huge // 2)
        none, swapped, shared = (
            usual if most is None else most for most, usual in zip(max_ptes, defaults, strict=True)
        )
        self.max_ptes = (none, swapped, shared)
        self.tables = PageTables(self, levels, bits)
        self.cpus = tuple(self.at(cpu) for cpu in cpus)
        self.wide = rules.pte_read is not PteRead.ATOMIC
        self.chunk = chunk
        self.spaces: Map[str, AddressSpace] = Map(self, "mm")
        self.anon_rmap: Map[int, tuple[tuple[str, int], ...]] = Map(self, "anon_vma")
        """pfn of an anonymous page -> (mm, address) of each entry that maps it."""
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")
        self.reclaim = self.at("reclaim")

    def space(self, mm: str) -> AddressSpace:
        """The address space of a process; made when it is first used (exec)."""
        space = self.spaces.get(mm)
        if space is None:
            space = AddressSpace(self, mm, *self.tables.new_table())
            self.spaces[mm] = space
        return space

    async def shootdown(self, space: AddressSpace, first: int, pages: int, *, freed_tables: bool = False) -> None:
        """flush_tlb_mm_range() (B4): tell every CPU of mm_cpumask, wait until each has answered. Whom an interrupt
        spares, and what an invalidation by broadcast does not wait for, is for the CPU to say. pages 0: all.

        The generation is counted before anybody looks whether a CPU is lazy: see Interruptible.switch_to."""
        if not space.cpus:
            return
        generation = 0
        if self.rules.tlb_flush is not TlbFlush.BROADCAST:
            generation = space.tlb_gen = space.tlb_gen + 1
        if pages > _FLUSH_CEILING:
            first = pages = 0
        flush = FlushTlb(space.mm, first, pages, generation, freed_tables)
        await self.ask_all([(cpu, flush) for cpu in space.cpus])

    async def sync_walkers(self) -> None:
        """tlb_remove_table_sync_one(): an IPI to every CPU, which waits for sections with interrupts off only."""
        await self.ask_all([(cpu, SyncIpi()) for cpu in self.cpus])

    async def mark_page_dirty(self, pfn: int, vma: Vma, address: int, by: str) -> None:
        """set_page_dirty() from a page-table entry's dirty bit, or from GUP."""
        if vma.fs and vma.shared:
            await self.ask(self.at(vma.fs), SetPageDirty(pfn, vma.ino, vma.index_of(address), by))
        else:
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.DIRTY))

    async def add_mapping(self, space: AddressSpace, slot: Slot, pfn: int, adopt: str) -> None:
        """page_add_rmap(): the running context's reference (`adopt`: its kind) becomes the mapping's."""
        ledger = mapping_ledger(space, slot.address)
        await self.ask(self.memmap, memmap.AddMaps(pfn, 1, adopt, ledger))

    async def drop_mapping_count(self, pfn: int) -> None:
        """page_remove_rmap()."""
        await self.ask(self.memmap, memmap.AddMaps(pfn, -1))

    async def put_mapping(self, space: AddressSpace, address: int, pfn: int) -> None:
        """put_page() of the reference that a page-table entry held."""
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "map", mapping_ledger(space, address)))

    async def put_own(self, pfn: int, kind: str) -> None:
        """put_page() of a reference that the running context took ("lookup" or "alloc")."""
        await self.ask(self.memmap, memmap.PutRefs(pfn, 1, kind, self.port.context))

    async def unlock_and_put(self, pfn: int) -> None:
        """unlock_page(), put_page(): give back what ->fault returned."""
        await self.ask(self.memmap, memmap.UnlockPage(pfn))
        await self.put_own(pfn, "lookup")

    async def set_entry(self, space: AddressSpace, slot: Slot, entry: Entry, why: str) -> None:
        """set_pte_at(), reported. An entry of two words is set high word first and cleared low word first (B1)."""
        before = slot.entry
        if self.wide and not slot.level:
            if entry.kind == EntryKind.NONE:
                between = word_of(before, HIGH)
            else:
                between = replace(before, target=word_of(before, LOW).target | word_of(entry, HIGH).target)
            if between not in (before, entry):
                slot.entry = between
                await self.sleep(0)
        slot.entry = entry
        mapped = next((each for each in (entry, before) if each.kind in (EntryKind.PAGE, EntryKind.MIGRATION)), None)
        pfn = mapped.target if mapped is not None else -1
        now = entry_state(entry)
        self.trace(
            EntryChanged(mm=space.mm, address=slot.start, pfn=pfn, now=now, why=why, level=slot.level, pages=slot.pages)
        )

    def local(self, address: str) -> str:
        """The name of an actor of this host, without the host."""
        return address.removeprefix(f"{self.host}/")

    def track_anon(self, pfn: int, space: AddressSpace, address: int) -> None:
        """page_add_anon_rmap(): remember which entry maps the page."""
        self.anon_rmap[pfn] = (*self.anon_rmap.get(pfn, ()), (space.mm, address))

    def forget_anon(self, pfn: int, space: AddressSpace, address: int) -> None:
        """The entry does not map the anonymous page any more."""
        rest = tuple(at for at in self.anon_rmap.get(pfn, ()) if at != (space.mm, address))
        if rest:
            self.anon_rmap[pfn] = rest
        else:
            self.anon_rmap.pop(pfn)

    # Huge leaves: the part of Thp, for those that come across one.

    async def split_huge_pmd(self, space: AddressSpace, slot: Slot) -> None:
        """__split_huge_pmd(): small entries in place of the leaf."""
        raise NotImplementedError

    async def take_huge(self, space: AddressSpace, slot: Slot, why: str) -> int:
        """zap_huge_pmd() up to the gather: pfn of the folio to be put after the flush, or -1."""
        raise NotImplementedError

    async def change_huge_pmd(self, space: AddressSpace, slot: Slot, prot: int) -> bool | None:
        """change_huge_pmd(): True if the caller must flush, None if it was split meanwhile."""
        raise NotImplementedError

    async def zap_hugetlb(self, space: AddressSpace, vma: Vma, slot: Slot, why: str) -> None:
        """__unmap_hugepage_range() of one leaf, with its flush and its put."""
        raise NotImplementedError

    def may_split(self, space: AddressSpace, start: int, end: int) -> bool:
        """->may_split: may mappings be cut at these addresses? Those of hugetlb only between their huge pages."""
        raise NotImplementedError

    # The reverse map

    def in_turn(self, find: Callable[[], list[Place]]) -> Iterator[Place]:
        """Each place that `find` names, looking again after each: the caller waits for locks meanwhile, and mremap
        moves entries, always to a place that has not had its turn."""
        seen: set[tuple[str, int]] = set()
        while (place := next((at for at in find() if (at[0].mm, at[2]) not in seen), None)) is not None:
            seen.add((place[0].mm, place[2]))
            yield place

    def file_mappings(self, fs: str, ino: int, index: int) -> list[Place]:
        """i_mmap: the places where a page of a file may be mapped. The entry there is looked at under its lock, so the
        tree's own lock is not needed here: a mapping that is made meanwhile must take the page lock first."""
        found = []
        local = self.local(fs)
        for space in self.spaces.values():
            for vma in space.linked_vmas():
                address = vma.start + (index - vma.pgoff) * PAGE_SIZE
                if self.local(vma.fs) == local and vma.ino == ino and vma.start <= address < vma.end:
                    found.append((space, vma, address))
        return found

    def anon_mappings(self, pfn: int) -> list[Place]:
        """anon_vma: the places where an anonymous page may be mapped."""
        found = []
        for mm, address in self.anon_rmap.get(pfn, ()):
            space = self.space(mm)
            found += [(space, vma, address) for vma in space.linked_vmas() if vma.start <= address < vma.end]
        return found


def rmap_lock(space: AddressSpace, *, anon: bool = True) -> AbstractAsyncContextManager[None]:
    """anon_vma_lock_read(): keeps collapse, which takes page tables out, away from walks of the reverse map."""
    return space.anon_vma_lock.shared() if anon else nullcontext()


def mapping_ledger(space: AddressSpace, address: int) -> str:
    """Name of a page-table entry as a holder of references."""
    return f"map:{space.mm}:{address:#x}"


def entry_state(entry: Entry) -> str:
    """For tracepoints: "none", "ro", "rw", "rw,dirty", "protnone", "swap", "migration", "table"."""
    if entry.kind == EntryKind.PAGE:
        if entry.protnone or entry.invalid:
            return "protnone"
        return ("rw" if entry.writable else "ro") + (",dirty" if entry.dirty else "")
    return EntryKind(entry.kind).name.lower()


def clean(entry: Entry) -> Entry:
    """pte_wrprotect(pte_mkclean(entry))."""
    return replace(entry, writable=False, dirty=False)


EFAULT, ENOMEM, EIO = -errno.EFAULT, -errno.ENOMEM, -errno.EIO
