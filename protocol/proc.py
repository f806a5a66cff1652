"""What /proc tells about an address space, what is charged to it, and mincore(2). None of it changes a page table.

Addresses are in bytes, `mm` names an address space, pages are 4 KiB.
"""

from __future__ import annotations

from gupsim.protocol.message import Done, Message, Request


class ReadVmas(Request["Vmas"], frozen=True):
    """find_vma() over [address, address + pages): what is mapped there. From io_uring and observers."""

    mm: str
    address: int
    pages: int


class VmaSeen(Message, frozen=True):
    """One line of /proc/PID/maps.

    prot: bits of `Prot`; fs, ino: the file, "" and 0 if anonymous; huge: pages of it that huge leaves map and that are
    anonymous (smaps: AnonHugePages)."""

    start: int
    end: int
    prot: int
    shared: bool
    fs: str
    ino: int
    hugetlb: bool
    huge: int


class Vmas(Message, frozen=True):
    """In order of address. Answers ReadVmas."""

    vmas: tuple[VmaSeen, ...]


class ChargePinned(Request[Done], frozen=True):
    """atomic64_add(pages, &mm->pinned_vm): VmPin of /proc/PID/status. Negative: uncharge. From io_uring."""

    mm: str
    pages: int


class ReadStatus(Request["TaskStatus"], frozen=True):
    """/proc/PID/status. From observers."""

    mm: str


class TaskStatus(Message, frozen=True):
    """VmPin and VmLck, in pages. Answers ReadStatus."""

    pinned: int
    locked: int


class Mincore(Request["Residency"], frozen=True):
    """mincore(2). From process."""

    mm: str
    address: int
    pages: int


class Residency(Message, frozen=True):
    """One entry for each page: is it in memory? error: 0 or a negative errno (-12: not mapped). Answers Mincore."""

    error: int
    resident: tuple[bool, ...] = ()


MESSAGES: tuple[type[Message], ...] = (
    ReadVmas,
    VmaSeen,
    Vmas,
    ChargePinned,
    ReadStatus,
    TaskStatus,
    Mincore,
    Residency,
)
