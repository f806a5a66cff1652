"""hugetlb: mappings made of the huge pages of a pool (mm/hugetlb.c; B8).

Every mapping has a file behind it, an anonymous one has a file of its own whose number is negative. A private mapping
has promises of the pool for its maker alone, so a child that must copy may find the pool empty.
"""

from __future__ import annotations

import errno
from typing import Any

from msgspec.structs import replace

from gupsim.actors.base import Map, Port, TicketLock, chunks_of, handles
from gupsim.actors.mm.core import EFAULT, EIO, MmCore, mapping_ledger
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.actors.mm.tables import NONE, Slot
from gupsim.actors.rules.hugetlb import HugetlbForce
from gupsim.protocol import memmap, memory
from gupsim.protocol.gup import PageReplaced
from gupsim.protocol.hugetlb import AllocHuge, PunchHuge, ReserveHuge
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.mm import Mapped, Mmap, MmLayout
from gupsim.protocol.pagetable import Entry, EntryKind

_ANON = Page.ANON | Page.UPTODATE | Page.ANON_EXCLUSIVE


class Hugetlb(MmCore):
    """A huge page is one entry of level 1 or 2, and is mapped, unmapped, copied and promised as a whole."""

    def __init__(self, address: str, port: Port, **options: Any) -> None:
        super().__init__(address, port, **options)
        self._files: Map[tuple[int, int], int] = Map(self, "hugetlb page cache")
        """(file, index in base pages) -> pfn"""
        self._promises: Map[tuple[str, int], bool] = Map(self, "hugetlb promise")
        """(mm, address) of a private mapping, or (file, index) of a shared one: huge pages promised and not taken."""
        self._makers: Map[tuple[str, int], bool] = Map(self, "hugetlb maker")
        """(mm, file) of private mappings in the process that made them (HPAGE_RESV_OWNER)."""
        self._orders: Map[int, int] = Map(self, "hugetlb file")
        """File -> order of its huge pages."""
        self._numbers: Map[str, int] = Map(self, "hugetlb file number")
        self._mutexes: dict[tuple[int, int], TicketLock] = {}

    # mmap, munmap

    async def mmap_hugetlb(self, msg: Mmap, lowest: int) -> Mapped:
        """hugetlbfs_file_mmap(): the pool must promise all of it, or it is -ENOMEM. An anonymous mapping is rounded up
        to whole huge pages, one of a file must be made of them. lowest: where mappings begin."""
        order = msg.hugetlb
        if order % self.tables.bits or not 0 < order // self.tables.bits < self.tables.levels:
            return Mapped(-errno.EINVAL)
        size = 1 << order
        if (msg.pages % size and msg.ino) or msg.pgoff % size:
            return Mapped(-errno.EINVAL)
        pages = -(-msg.pages // size) * size
        space = self.space(msg.mm)
        async with space.mmap_lock:
            span = max(msg.align, size * PAGE_SIZE)
            start = -(-(space.next_address or lowest) // span) * span
            end = start + pages * PAGE_SIZE
            if end > self.tables.task_size:
                return Mapped(-errno.ENOMEM)
            vma = Vma(start, end, msg.prot, msg.shared, "", msg.ino or self._new_file(), msg.pgoff, order)
            wanted = [
                key for key in self._promised(space, vma) if key not in self._promises and not self._cached(vma, key)
            ]
            promised = await self.ask(self.memmap, ReserveHuge(order, len(wanted)))
            if promised.error:
                return Mapped(promised.error)
            for key in wanted:
                self._promises[key] = True
            self._orders[vma.ino] = order
            if not vma.shared:
                self._makers[space.mm, vma.ino] = True
            space.next_address = end + PAGE_SIZE
            space.set_vmas([*space.vmas, vma])
        self.trace(MmLayout(mm=msg.mm, what="mmap", address=start, pages=pages))
        return Mapped(start)

    async def close_hugetlb(self, space: AddressSpace, vma: Vma) -> None:
        """hugetlb_vm_op_close(), after the pages of the mapping are gone: promises that nobody took go back to the
        pool. The file of an anonymous mapping ends with the last one who maps it."""
        if not vma.shared:
            await self._break_promises(vma.hugetlb, self._promised(space, vma))
        everywhere = [other for each in self.spaces.values() for other in each.vmas if other.hugetlb]
        if vma.ino < 0 and vma.shared and not any(other.ino == vma.ino for other in everywhere):
            await self._hugetlb_evict(vma.ino, 0, (vma.end - vma.start) // PAGE_SIZE + vma.pgoff, vma.hugetlb)

    def may_split(self, space: AddressSpace, start: int, end: int) -> bool:
        """hugetlb_vm_op_split(): no mapping ends within a huge page."""
        for vma in space.vmas:
            span = PAGE_SIZE << vma.hugetlb
            if vma.hugetlb and any(vma.start < edge < vma.end and edge % span for edge in (start, end)):
                return False
        return True

    async def zap_hugetlb(self, space: AddressSpace, vma: Vma, slot: Slot, why: str) -> None:
        """__unmap_hugepage_range() of one leaf: clear it, flush, give its page back."""
        async with slot.lock:
            entry = slot.entry
            if entry.kind != EntryKind.PAGE:
                return
            await self.set_entry(space, slot, NONE, why)
            if (space.mm, slot.start) in self.anon_rmap.get(entry.target, ()):
                self.forget_anon(entry.target, space, slot.start)
            elif entry.dirty:
                await self.ask(self.memmap, memmap.ChangeFlags(entry.target, set=Page.DIRTY))
            await self.ask(self.memmap, memmap.AddMaps(entry.target, -1, entire=True))
            await self.shootdown(space, slot.start, slot.pages)
        await self.put_mapping(space, slot.start, entry.target)

    @handles(PunchHuge)
    async def punch_huge(self, msg: PunchHuge) -> Done:
        """hugetlbfs_punch_hole(): unmap, then remove. Private copies stay."""
        last = msg.first + msg.pages
        for (ino, index), pfn in self._files.items():
            if ino != msg.ino or not msg.first <= index < last:
                continue
            for space in self.spaces.values():
                for vma in space.vmas:
                    address = vma.start + (index - vma.pgoff) * PAGE_SIZE
                    if vma.hugetlb and vma.ino == ino and vma.start <= address < vma.end:
                        slot = self.tables.leaf(space, address)
                        if slot.entry.target == pfn:
                            await self.zap_hugetlb(space, vma, slot, "hugetlb_vmdelete_list")
        order = self._orders.get(msg.ino)
        if order is not None:
            await self._hugetlb_evict(msg.ino, msg.first, msg.pages, order)
        return DONE

    # Faults

    async def hugetlb_fault(self, space: AddressSpace, vma: Vma, address: int, *, write: bool, unshare: bool) -> int:
        """hugetlb_fault(): 0, or -EIO (SIGBUS) if the pool is empty."""
        slot = self.tables.make(space, address, vma.hugetlb // self.tables.bits)
        async with self._mutex(vma.ino, vma.index_of(slot.start)):
            entry = slot.entry
            if entry.kind == EntryKind.NONE:
                return await self._hugetlb_no_page(space, vma, slot, write=write)
            if (write and not entry.writable) or unshare:
                if not vma.shared:
                    return await self._hugetlb_wp(space, vma, slot, entry, unshare=unshare)
                await self._set_huge_writable(space, vma, slot, entry)
            elif entry.protnone or not entry.young:
                async with slot.lock:
                    if slot.entry == entry:
                        await self.set_entry(space, slot, replace(entry, young=True, protnone=False), "hugetlb_fault")
        return 0

    async def _hugetlb_no_page(self, space: AddressSpace, vma: Vma, slot: Slot, *, write: bool) -> int:
        """hugetlb_no_page(): the page of the file, or a new cleared one."""
        key = (vma.ino, vma.index_of(slot.start))
        pfn = self._files.get(key, -1)
        fresh = pfn < 0
        if fresh:
            pfn = await self._hugetlb_alloc(space, vma, slot)
            if pfn < 0:
                return EIO
            await self.ask(self.memory, memory.ZeroFrame(pfn, slot.pages))
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.UPTODATE if vma.shared else _ANON))
            if vma.shared:
                await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "cache"))
                self._files[key] = pfn
        else:
            await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
        # The fault mutex is held: nobody else can have put an entry here meanwhile.
        anon = fresh and not vma.shared
        async with slot.lock:
            writable = vma.shared and vma.writable()
            entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=writable, dirty=writable and write, young=True)
            await self._hugetlb_map(
                space, slot, pfn, entry, "alloc" if fresh else "lookup", anon=anon, why="hugetlb_no_page"
            )
        if write and not vma.shared:
            return await self._hugetlb_wp(space, vma, slot, entry, unshare=False)
        return 0

    async def _hugetlb_wp(self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry, *, unshare: bool) -> int:
        """hugetlb_wp(): mapped once is proof enough that the page is ours, whatever references there are (the hole of
        B8); otherwise a copy."""
        if not (unshare or vma.writable()) and self.rules.hugetlb_force is HugetlbForce.SIGSEGV:
            self.warn_once("hugetlb_wp", "WARN_ON_ONCE(!unshare && !(vma->vm_flags & VM_WRITE))")
            return EFAULT
        pfn = entry.target
        if self.anon_rmap.get(pfn, ()) and (await self.ask(self.memmap, memmap.ReadCounts(pfn))).maps == 1:
            await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=Page.ANON_EXCLUSIVE))
            if not unshare:
                await self._set_huge_writable(space, vma, slot, entry)
            return 0
        await self.ask(self.memmap, memmap.GetRefs(pfn, 1, "lookup", self.port.context))
        # Whoever made the mapping leaves its promises alone here: they are for pages that it has not touched yet.
        maker = (space.mm, vma.ino) in self._makers and bool(self.anon_rmap.get(pfn, ()))
        copy = (await self.ask(self.memmap, AllocHuge(vma.hugetlb, reserved=False))).pfn if maker else -1
        if not maker:
            copy = await self._hugetlb_alloc(space, vma, slot)
        if copy >= 0:
            await self._copy_huge_content(pfn, copy, slot.pages)
            await self._hugetlb_replace(space, vma, slot, entry, copy, unshare=unshare)
        await self.put_own(pfn, "lookup")
        if copy < 0 and maker:
            await self._unmap_ref_private(space, slot, pfn)
            return await self._hugetlb_wp(space, vma, slot, entry, unshare=unshare)
        return 0 if copy >= 0 else EIO

    async def _hugetlb_replace(
        self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry, copy: int, *, unshare: bool
    ) -> None:
        """The end of hugetlb_wp(): the copy stands where the page was."""
        pfn = entry.target
        anon = (space.mm, slot.start) in self.anon_rmap.get(pfn, ())
        async with slot.lock:
            mapped = slot.entry.kind == EntryKind.PAGE and slot.entry.target == pfn
            if mapped:
                why = "unshare" if unshare else "hugetlb_wp"
                await self.set_entry(space, slot, NONE, why)
                await self.shootdown(space, slot.start, slot.pages)
                await self.ask(self.memmap, memmap.AddMaps(pfn, -1, entire=True))
                if anon:
                    self.forget_anon(pfn, space, slot.start)
                for number in range(slot.pages):
                    address = slot.start + number * PAGE_SIZE
                    self.trace(PageReplaced(space.mm, address, pfn + number, copy + number, anon, why))
                await self.install_huge(space, vma, slot, copy, readonly=unshare, why=why)
        if mapped:
            await self.put_mapping(space, slot.start, pfn)
        else:
            await self.put_own(copy, "alloc")

    async def _unmap_ref_private(self, space: AddressSpace, slot: Slot, pfn: int) -> None:
        """unmap_ref_private(): the pool is empty, and whoever made the mapping comes first. The others lose the page
        and will get SIGBUS."""
        for mm, address in self.anon_rmap.get(pfn, ()):
            other = self.space(mm)
            vma = other.find_vma(address)
            if vma is not None and (mm, address) != (space.mm, slot.start):
                await self.zap_hugetlb(other, vma, self.tables.leaf(other, address), "unmap_ref_private")

    async def _set_huge_writable(self, space: AddressSpace, vma: Vma, slot: Slot, entry: Entry) -> None:
        """set_huge_ptep_writable()."""
        async with slot.lock:
            now = slot.entry
            if now.kind == EntryKind.PAGE and now.target == entry.target:
                made = replace(now, writable=self._mkwrite(vma), dirty=True, young=True, protnone=False)
                await self.set_entry(space, slot, made, "set_huge_ptep_writable")

    def _mkwrite(self, vma: Vma) -> bool:
        """set_huge_ptep_writable(); since 6.14 set_huge_ptep_maybe_writable()."""
        return vma.writable() or (not vma.shared and self.rules.hugetlb_force is HugetlbForce.WRITABLE)

    # Pages

    async def install_huge(
        self,
        space: AddressSpace,
        vma: Vma,
        slot: Slot,
        pfn: int,
        *,
        readonly: bool = False,
        child: bool | None = None,
        why: str,
    ) -> None:
        """hugetlb_install_folio(): a fresh private page, which the running context allocated. Lock of the slot held.
        child: of fork's copy, whether its entry is writable."""
        await self.ask(self.memmap, memmap.ChangeFlags(pfn, set=_ANON))
        writable = self._mkwrite(vma) if child is None else child
        writable = writable and not readonly
        entry = Entry(kind=EntryKind.PAGE, target=pfn, writable=writable, dirty=not readonly, young=True)
        await self._hugetlb_map(space, slot, pfn, entry, "alloc", anon=True, why=why)

    async def copy_huge(self, source: int, order: int) -> int:
        """A copy that takes nothing of what is promised: pfn, or -ENOMEM. For fork."""
        pfn = (await self.ask(self.memmap, AllocHuge(order, reserved=False))).pfn
        if pfn >= 0:
            await self._copy_huge_content(source, pfn, 1 << order)
        return pfn

    async def _copy_huge_content(self, source: int, target: int, pages: int) -> None:
        """copy_user_large_folio()."""
        for number in range(pages):
            for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
                data = await self.ask(self.memory, memory.ReadMemory(source + number, offset, length, "mm"))
                await self.ask(self.memory, memory.WriteMemory(target + number, offset, data.data, "mm"))

    async def _hugetlb_map(
        self, space: AddressSpace, slot: Slot, pfn: int, entry: Entry, adopt: str, *, anon: bool, why: str
    ) -> None:
        ledger = mapping_ledger(space, slot.start)
        await self.ask(self.memmap, memmap.AddMaps(pfn, 1, adopt, ledger, entire=True))
        if anon:
            self.track_anon(pfn, space, slot.start)
        await self.set_entry(space, slot, entry, why)

    async def _hugetlb_alloc(self, space: AddressSpace, vma: Vma, slot: Slot) -> int:
        """alloc_hugetlb_folio(): one that was promised for this place, else one that nobody was promised."""
        key = self._promise(space, vma, slot.start)
        reserved = self._promises.pop(key) is not None
        return (await self.ask(self.memmap, AllocHuge(vma.hugetlb, reserved))).pfn

    # Files and promises

    def _new_file(self) -> int:
        number = self._numbers.get("last", 0) - 1
        self._numbers["last"] = number
        return number

    def _promise(self, space: AddressSpace, vma: Vma, address: int) -> tuple[str, int]:
        return (f"file {vma.ino}", vma.index_of(address)) if vma.shared else (space.mm, address)

    def _promised(self, space: AddressSpace, vma: Vma) -> list[tuple[str, int]]:
        return [self._promise(space, vma, at) for at in range(vma.start, vma.end, PAGE_SIZE << vma.hugetlb)]

    def _cached(self, vma: Vma, key: tuple[str, int]) -> bool:
        return vma.shared and (vma.ino, key[1]) in self._files

    async def _break_promises(self, order: int, keys: list[tuple[str, int]]) -> None:
        broken = sum(1 for key in keys if self._promises.pop(key) is not None)
        if broken:
            await self.ask(self.memmap, ReserveHuge(order, -broken))

    async def _hugetlb_evict(self, ino: int, first: int, pages: int, order: int) -> None:
        """remove_inode_hugepages(): from the page cache, with the promises."""
        indices = range(first, first + pages, 1 << order)
        for index in indices:
            pfn = self._files.pop((ino, index))
            if pfn is not None:
                await self.ask(self.memmap, memmap.PutRefs(pfn, 1, "cache"))
        await self._break_promises(order, [(f"file {ino}", index) for index in indices])

    def _mutex(self, ino: int, index: int) -> TicketLock:
        """hugetlb_fault_mutex_table: one fault at a time on a page of a file."""
        mutex = self._mutexes.get((ino, index))
        if mutex is None:
            mutex = self._mutexes[ino, index] = TicketLock(self, f"hugetlb fault mutex of page {index} of file {ino}")
        return mutex
