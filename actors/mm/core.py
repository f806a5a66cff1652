"""What all parts of the MM core share: its state, references of mappings, the TLB shootdown."""

from __future__ import annotations

import errno

from msgspec.structs import replace

from actors.base import KernelActor, Map, Port
from actors.mm.spaces import AddressSpace, Vma
from actors.mm.tables import PageTables, Slot
from actors.rules import KernelRules
from protocol import memmap
from protocol.cpu import FlushTlb
from protocol.fs import SetPageDirty
from protocol.memmap import Page
from protocol.memory import PAGE_SIZE
from protocol.pagetable import Entry, EntryChanged, EntryKind


class MmCore(KernelActor):
    """State of the MM core and the steps that its parts have in common.

    levels, bits: shape of the page tables. pte_special: the platform has a special bit in last-level entries.
    chunk: bytes that a copy loop moves in one step.
    """

    def __init__(
        self,
        address: str,
        port: Port,
        *,
        rules: KernelRules,
        levels: int = 4,
        bits: int = 9,
        pte_special: bool = True,
        chunk: int = PAGE_SIZE,
    ) -> None:
        super().__init__(address, port, rules=rules)
        self.tables = PageTables(self, levels, bits)
        self.pte_special = pte_special
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

    async def shootdown(self, space: AddressSpace, first: int, pages: int) -> None:
        """flush_tlb_mm_range() on x86 (B4): interrupt every CPU of mm_cpumask, wait until each has acknowledged."""
        await self.ask_all([(cpu, FlushTlb(space.mm, first, pages)) for cpu in space.cpus])

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
        """set_pte_at(), reported."""
        before = slot.entry
        slot.entry = entry
        pfn = entry.target if entry.kind == EntryKind.PAGE else before.target
        self.trace(
            EntryChanged(mm=space.mm, address=slot.start, pfn=pfn, now=entry_state(entry), why=why, level=slot.level)
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

    def file_mappings(self, fs: str, ino: int, index: int) -> list[tuple[AddressSpace, Vma, int]]:
        """i_mmap: the places where a page of a file may be mapped. The entry there is looked at under its lock, so the
        tree's own lock is not needed here: a mapping that is made meanwhile must take the page lock first."""
        found = []
        local = self.local(fs)
        for space in self.spaces.values():
            for vma in space.vmas:
                address = vma.start + (index - vma.pgoff) * PAGE_SIZE
                if self.local(vma.fs) == local and vma.ino == ino and vma.start <= address < vma.end:
                    found.append((space, vma, address))
        return found

    def anon_mappings(self, pfn: int) -> list[tuple[AddressSpace, Vma, int]]:
        """anon_vma: the places where an anonymous page may be mapped."""
        found = []
        for mm, address in self.anon_rmap.get(pfn, ()):
            space = self.space(mm)
            vma = space.find_vma(address)
            if vma is not None:
                found.append((space, vma, address))
        return found


def mapping_ledger(space: AddressSpace, address: int) -> str:
    """Name of a page-table entry as a holder of references."""
    return f"map:{space.mm}:{address:#x}"


def entry_state(entry: Entry) -> str:
    """For tracepoints: "none", "ro", "rw", "rw,dirty", "swap", "migration", "table"."""
    if entry.kind == EntryKind.PAGE:
        return ("rw" if entry.writable else "ro") + (",dirty" if entry.dirty else "")
    return EntryKind(entry.kind).name.lower()


def clean(entry: Entry) -> Entry:
    """pte_wrprotect(pte_mkclean(entry))."""
    return replace(entry, writable=False, dirty=False)


EFAULT, ENOMEM, EIO = -errno.EFAULT, -errno.ENOMEM, -errno.EIO
