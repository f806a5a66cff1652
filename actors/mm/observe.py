"""What /proc shows of an address space, its accounts, and mincore(2): looks that change no entry and take no lock."""

from __future__ import annotations

import errno
from typing import Any

from msgspec.structs import replace

from gupsim.actors.base import Map, Port, handles
from gupsim.actors.mm.core import MmCore
from gupsim.actors.mm.spaces import AddressSpace, Vma
from gupsim.protocol.fs import StatFile
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.mm import PagemapEntry, ReadPagemap
from gupsim.protocol.pagetable import EntryKind
from gupsim.protocol.proc import (
    ChargePinned,
    Mincore,
    ReadStatus,
    ReadVmas,
    Residency,
    TaskStatus,
    Vmas,
    VmaSeen,
)

_ABSENT = PagemapEntry("none", -1, 0)


class Observed(MmCore):
    """Each answer is one look; who wants two to agree must see to it that nothing happens in between."""

    def __init__(self, address: str, port: Port, **options: Any) -> None:
        super().__init__(address, port, **options)
        self.pinned_vm: Map[str, int] = Map(self, "pinned_vm")
        """mm->pinned_vm by name of the mm, in pages. It outlives the mappings: a ring holds a reference to the mm."""

    @handles(ReadPagemap)
    def read_pagemap(self, msg: ReadPagemap) -> PagemapEntry:
        """pagemap_pmd_range()."""
        space = self.spaces.get(msg.mm)
        if space is None or space.find_vma(msg.address) is None:
            return _ABSENT
        slot = self.tables.leaf(space, msg.address & -PAGE_SIZE)
        entry = slot.entry
        if entry.kind == EntryKind.PAGE:
            return PagemapEntry("present", entry.target + slot.sub_page, slot.pages)
        # A migration entry is of the swap kind, too.
        return _ABSENT if entry.kind == EntryKind.NONE else PagemapEntry("swap", -1, 0)

    @handles(ReadVmas)
    def read_vmas(self, msg: ReadVmas) -> Vmas:
        """show_smap(): neighbours that are alike are one mapping, as vma_merge() would have made them."""
        space = self.spaces.get(msg.mm)
        if space is None:
            return Vmas(())
        end = msg.address + msg.pages * PAGE_SIZE
        seen = [vma for vma in _merged(space.vmas) if vma.start < end and msg.address < vma.end]
        return Vmas(tuple(self._show(space, vma) for vma in seen))

    @handles(ChargePinned)
    def charge_pinned(self, msg: ChargePinned) -> Done:
        self.pinned_vm[msg.mm] = self.pinned_vm.get(msg.mm, 0) + msg.pages
        return DONE

    @handles(ReadStatus)
    def read_status(self, msg: ReadStatus) -> TaskStatus:
        """task_mem(): VmPin. Nothing is ever mlocked here."""
        return TaskStatus(pinned=self.pinned_vm.get(msg.mm, 0), locked=0)

    @handles(Mincore)
    async def mincore(self, msg: Mincore) -> Residency:
        """mincore_pte_range(): what is mapped, else what the page cache has. Unlike the kernel it looks at what is in
        the swap cache as if it were on disk."""
        space = self.spaces.get(msg.mm)
        end = msg.address + msg.pages * PAGE_SIZE
        if space is None or not space.covered(msg.address, end):
            return Residency(-errno.ENOMEM)
        cached: dict[tuple[str, int], frozenset[int]] = {}
        resident = []
        for address in range(msg.address, end, PAGE_SIZE):
            vma = space.find_vma(address)
            mapped = self.tables.leaf(space, address).entry.kind
            if mapped != EntryKind.NONE or vma is None or not vma.fs:
                resident.append(mapped == EntryKind.PAGE)
                continue
            file = (vma.fs, vma.ino)
            if file not in cached:
                state = await self.ask(self.at(vma.fs), StatFile(vma.ino))
                cached[file] = frozenset(index for index, *_ in state.cached)
            resident.append(vma.index_of(address) in cached[file])
        return Residency(0, tuple(resident))

    def _show(self, space: AddressSpace, vma: Vma) -> VmaSeen:
        huge = 0
        if not vma.fs and not vma.device and not vma.hugetlb:
            slots = self.tables.range(space, vma.start, vma.end)
            huge = sum(slot.pages for slot in slots if slot.level and slot.entry.kind == EntryKind.PAGE)
        return VmaSeen(vma.start, vma.end, vma.prot, vma.shared, vma.fs or vma.device, vma.ino, bool(vma.hugetlb), huge)


def _merged(vmas: tuple[Vma, ...]) -> list[Vma]:
    """vma_merge(): two mappings that touch and have everything else in common are one."""
    merged: list[Vma] = []
    for vma in vmas:
        last = merged[-1] if merged else None
        if last is not None and last.end == vma.start and last == _moved(vma, last):
            merged[-1] = replace(last, end=vma.end)
        else:
            merged.append(vma)
    return merged


def _moved(vma: Vma, last: Vma) -> Vma:
    """`vma` as it would be in the place of `last`, if it goes on where that ends."""
    pgoff = vma.pgoff - (last.end - last.start) // PAGE_SIZE if vma.fs else 0
    return replace(vma, start=last.start, end=last.end, pgoff=pgoff)
