"""Address spaces and their mappings."""

from __future__ import annotations

import msgspec

from gupsim.actors.base import Actor, Entity, Field, TicketLock
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.mm import Prot


class Vma(msgspec.Struct, frozen=True):
    """One mapping: [start, end) in bytes.

    prot: bits of `Prot`. fs, ino, pgoff: file system, inode and first page of a file mapping; fs "" if anonymous.
    hugetlb: order of its huge pages, 0 if it is made of base pages. thp: MADV_HUGEPAGE (True), MADV_NOHUGEPAGE (False).
    fork: "copy", or "dont" (MADV_DONTFORK), or "wipe" (MADV_WIPEONFORK). device: the driver ("driver/gpu") whose file
    it maps, and `ino` then numbers what that is: registers (pfnmap, VM_PFNMAP), or pages of its own (VM_MIXEDMAP).
    may_write: VM_MAYWRITE; a shared mapping of a sealed file cannot be made writable.
    """

    start: int
    end: int
    prot: int
    shared: bool
    fs: str = ""
    ino: int = 0
    pgoff: int = 0
    hugetlb: int = 0
    thp: bool | None = None
    fork: str = "copy"
    device: str = ""
    pfnmap: bool = False
    may_write: bool = True

    def writable(self) -> bool:
        return bool(self.prot & Prot.WRITE)

    def index_of(self, address: int) -> int:
        """Page index in the file of an address in this mapping."""
        return self.pgoff + (address - self.start) // PAGE_SIZE

    def part(self, start: int, end: int) -> Vma:
        """The same mapping, cut to [start, end)."""
        return msgspec.structs.replace(
            self,
            start=start,
            end=end,
            pgoff=self.pgoff + (start - self.start) // PAGE_SIZE if self.fs or self.hugetlb else 0,
        )


class AddressSpace(Entity):
    """mm_struct.

    vmas: ordered by address. leaving: those that munmap took out and that the reverse map still knows. cpus:
    mm_cpumask, addresses of the CPUs that may cache translations. tlb_gen: counts the flushes. flush_pending: threads
    between a change of entries and its flush. flush_owed: reclaim cleared entries whose flush it put off.
    """

    vmas = Field[tuple[Vma, ...]](())
    leaving = Field[tuple[Vma, ...]](())
    cpus = Field[tuple[str, ...]](())
    next_address = Field[int](0)
    has_pinned = Field[bool](False)
    write_protect_seq = Field[int](0)
    killed = Field[bool](False)
    tlb_gen = Field[int](1)
    flush_pending = Field[int](0)
    flush_owed = Field[bool](False)

    def __init__(self, owner: Actor, name: str, root: int, root_generation: int) -> None:
        super().__init__(owner, f"mm {name}")
        self.mm = name
        self.root = root
        self.root_generation = root_generation
        self.mmap_lock = TicketLock(owner, f"mmap_lock of {name}")
        self.anon_vma_lock = TicketLock(owner, f"anon_vma of {name}")

    def find_vma(self, address: int) -> Vma | None:
        """The mapping that contains an address."""
        for vma in self.vmas:
            if vma.start <= address < vma.end:
                return vma
        return None

    def covered_upto(self, start: int, end: int) -> int:
        """The end of what is mapped without a hole from `start` on, at most `end`; `start` if nothing is there."""
        for vma in self.vmas:
            if vma.start <= start < vma.end:
                start = vma.end
        return min(start, end)

    def covered(self, start: int, end: int) -> bool:
        """True if no byte of [start, end) is unmapped."""
        return self.covered_upto(start, end) == end

    def linked_vmas(self) -> tuple[Vma, ...]:
        """Those that a walk of the reverse map visits."""
        return (*self.vmas, *self.leaving)

    def may_write(self, start: int, end: int) -> bool:
        """False if a mapping of [start, end) must not become writable."""
        return all(vma.may_write for vma in self.vmas if vma.start < end and start < vma.end)

    def overlaps(self, start: int, end: int) -> bool:
        """True if a byte of [start, end) is mapped."""
        return any(vma.start < end and start < vma.end for vma in self.vmas)

    def carve(self, start: int, end: int) -> list[Vma]:
        """Split the mappings at the edges of [start, end) and take out, and return, those inside."""
        inside: list[Vma] = []
        outside: list[Vma] = []
        for vma in self.vmas:
            low, high = max(vma.start, start), min(vma.end, end)
            if low >= high:
                outside.append(vma)
                continue
            inside.append(vma.part(low, high))
            if vma.start < low:
                outside.append(vma.part(vma.start, low))
            if high < vma.end:
                outside.append(vma.part(high, vma.end))
        self.set_vmas(outside)
        return inside

    def set_vmas(self, vmas: list[Vma]) -> None:
        """Replace all mappings."""
        self.vmas = tuple(sorted(vmas, key=lambda vma: vma.start))
