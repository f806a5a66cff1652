"""The MM core: address spaces, page tables, faults, get_user_pages, reverse map.

Addresses are in bytes, `mm` names an address space (as "app"), `pages` and `nr` count 4 KiB pages.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Protocol

from gupsim.protocol.message import Done, Flag, Message, Request, Status, Tracepoint
from gupsim.protocol.pages import NO_PAGES, Pages


class Prot(IntFlag):
    """PROT_* and VM_*: what a mapping allows."""

    READ = 1
    WRITE = 2
    EXEC = 4


class Foll(IntFlag):
    """FOLL_* flags of get_user_pages and pin_user_pages."""

    WRITE = 1
    GET = 2
    """Internal: plain references. Callers of get_user_pages get it implied."""
    PIN = 4
    """Internal: pins. Callers of pin_user_pages get it implied."""
    LONGTERM = 8
    FORCE = 16
    NOFAULT = 32
    FAST_ONLY = 64
    UNSHARE = 128
    """Internal: fault to unshare before a read-only pin (5.19)."""


class Mmap(Request["Mapped"], frozen=True):
    """mmap(2) by a process. fs, ino, pgoff: the file and first page; fs "" for anonymous memory.

    align: multiple of bytes at which the mapping starts; 0 for any page. hugetlb: order of the huge pages that it is
    made of (MAP_HUGETLB), 0 for base pages. ino with hugetlb: a hugetlbfs file (memfd), 0 for an anonymous one.
    """

    mm: str
    pages: int
    prot: int
    shared: bool
    fs: str = ""
    ino: int = 0
    pgoff: int = 0
    align: int = 0
    hugetlb: int = 0


class Mapped(Message, frozen=True):
    """Address of a new mapping, or a negative errno. Answers Mmap."""

    address: int


class Munmap(Request[Status], frozen=True):
    """munmap(2): zap the entries, unlink the page tables, flush, then free the pages and the tables (B4). users:
    mm_users, the threads of the process, where a rule makes the kernel look at it; else 2."""

    mm: str
    address: int
    pages: int
    users: int = 2


class Mprotect(Request[Status], frozen=True):
    """mprotect(2). -12 (-ENOMEM) if part of the range is not mapped."""

    mm: str
    address: int
    pages: int
    prot: int


class MadviseDontneed(Request[Status], frozen=True):
    """madvise(MADV_DONTNEED): zap under the mmap lock held for reading."""

    mm: str
    address: int
    pages: int


class Madvise(Request[Status], frozen=True):
    """madvise(2) with other advice than MADV_DONTNEED: "hugepage", "nohugepage", "collapse", "pageout", "free",
    "dontfork", "dofork", "wipeonfork", "keeponfork", "populate_read", "populate_write". -22 (-EINVAL) for advice that
    does not fit the mapping."""

    mm: str
    address: int
    pages: int
    advice: str


class Mremap(Request[Mapped], frozen=True):
    """mremap(2) with MREMAP_MAYMOVE|MREMAP_FIXED to a fresh address: the entries move, the pages do not."""

    mm: str
    address: int
    pages: int


class ForkMm(Request[Status], frozen=True):
    """dup_mmap(): `child` becomes a copy of `parent`; -12 (-ENOMEM) if a page that must be copied at once cannot be."""

    parent: str
    child: str


class ReadPagemap(Request["PagemapEntry"], frozen=True):
    """/proc/PID/pagemap and smaps of one page. From observers; changes nothing."""

    mm: str
    address: int


class PagemapEntry(Message, frozen=True):
    """state: "none", "present" or "swap"; pfn: of the 4 KiB page if present, else -1; huge: pages of the leaf that
    maps it (512 for a PMD leaf), 1 if it is a last-level entry, 0 if not present. Answers ReadPagemap."""

    state: str
    pfn: int
    huge: int


class ExitMm(Request[Done], frozen=True):
    """exit_mmap(): the address space goes."""

    mm: str


class ActivateMm(Request[Done], frozen=True):
    """switch_mm(): `cpu` (an address) runs threads of this mm from now on and gets its shootdowns (mm_cpumask)."""

    mm: str
    cpu: str


class KillPending(Request[Done], frozen=True):
    """SIGKILL is pending for the threads of this mm: slow GUP gives up (B2, steps 1 and 4)."""

    mm: str


class HandleFault(Request[Status], frozen=True):
    """handle_mm_fault() after a CPU's page fault: 0, or -14 (-EFAULT: SIGSEGV) or -5 (-EIO: SIGBUS)."""

    mm: str
    address: int
    write: bool


class GetUserPages(Request["UserPages"], frozen=True):
    """Slow get_user_pages() / pin_user_pages() (B2), also its _remote forms. From drivers, fs (direct I/O), cpus.

    flags: bits of `Foll`; holder: who will release the pages, as "driver/nic". inner: asked by the fast form, which
    reports the call itself.
    """

    mm: str
    address: int
    nr: int
    flags: int
    holder: str
    remote: bool = False
    inner: bool = False


class UserPages(Message, frozen=True):
    """result: number of pages, or a negative errno; the frames of the pages obtained, in order."""

    result: int
    pfns: Pages = NO_PAGES


class PageMkclean(Request[Flag], frozen=True):
    """page_mkclean() (B11, step 4): in every mapping of the file page clear, flush, write-protect and clean the entry.
    True if any was dirty or writable. From the flusher, page locked."""

    pfn: int
    fs: str
    ino: int
    index: int


class PageReferenced(Request[Flag], frozen=True):
    """page_referenced(): test and clear the accessed bits of all mappings (B9, step 3). From reclaim."""

    pfn: int


class TryToUnmap(Request["Unmapped"], frozen=True):
    """try_to_unmap() (B9, step 5): clear every entry that maps the page, move the dirty bit to the page, flush or, by
    rule, owe the flush. slot: swap slot to leave in the entries of an anonymous page, or -1. lazyfree: nothing is left
    there, if the page is clean and nobody else uses it. From reclaim, page locked."""

    pfn: int
    slot: int = -1
    lazyfree: bool = False


class Unmapped(Message, frozen=True):
    """ok: no mapping is left. owed: the running context must ask for TryToUnmapFlush before it relies on that; dirty:
    also before it writes the page out. Answers TryToUnmap."""

    ok: bool
    owed: bool = False
    dirty: bool = False


class TryToUnmapFlush(Request[Done], frozen=True):
    """try_to_unmap_flush(): the flush that the running context owes since TryToUnmap (B4). From reclaim."""


class UnmapRange(Request[Done], frozen=True):
    """unmap_mapping_range(): zap the entries of a file range in every address space. From fs (truncate, direct I/O).
    first: page index; pages: how many. even_cows: private copies, too."""

    fs: str
    ino: int
    first: int
    pages: int
    even_cows: bool = False


class Fault(Tracepoint, frozen=True, tag="mm:fault"):
    """A page fault was handled; error 0, or a negative errno."""

    mm: str
    address: int
    write: bool
    pfn: int
    error: int

    def say(self) -> str:
        kind = "write" if self.write else "read"
        end = f"page {self.pfn} mapped" if not self.error else f"error {self.error}"
        return f"{kind} fault of {self.mm} at {self.address:#x}: {end}"


class PinningCall(Protocol):
    """What the slow and the fast form of get_user_pages have in common."""

    @property
    def mm(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def nr(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def holder(self) -> str: ...


class PagesPinned(Tracepoint, frozen=True, tag="mm:pin"):
    """get_user_pages (pin False) or pin_user_pages (pin True) returned `result`."""

    mm: str
    address: int
    nr: int
    flags: int
    pin: bool
    holder: str
    result: int
    pfns: Pages
    fast: bool

    @classmethod
    def of(cls, call: PinningCall, result: UserPages, *, fast: bool) -> PagesPinned:
        """The report of a call and what it returned."""
        return cls(
            mm=call.mm,
            address=call.address,
            nr=call.nr,
            flags=call.flags,
            pin=bool(call.flags & Foll.PIN),
            holder=call.holder,
            result=result.result,
            pfns=result.pfns,
            fast=fast,
        )

    def say(self) -> str:
        call = ("pin_user_pages" if self.pin else "get_user_pages") + ("_fast" if self.fast else "")
        flags = "|".join(str(flag.name) for flag in Foll if flag & self.flags) or "0"
        pages = f", pages {self.pfns.say()}" if self.pfns else ""
        return f"{self.holder}: {call}({self.mm}, {self.address:#x}, {self.nr}, {flags}) = {self.result}{pages}"


class Mkclean(Tracepoint, frozen=True, tag="mm:mkclean"):
    """page_mkclean ended: every mapping of the page is read-only and clean. dirty: one was not."""

    pfn: int
    mappings: int
    dirty: bool

    def say(self) -> str:
        return f"page_mkclean: {self.mappings} mapping(s) of page {self.pfn} are read-only and clean now"


class Unmap(Tracepoint, frozen=True, tag="mm:unmap"):
    """try_to_unmap ended."""

    pfn: int
    ok: bool

    def say(self) -> str:
        return f"try_to_unmap: page {self.pfn} {'is mapped nowhere now' if self.ok else 'stays mapped'}"


class MmLayout(Tracepoint, frozen=True, tag="mm:layout"):
    """A process changed its own mapping. what: "mmap", "munmap", "mprotect", "mremap",
    "dontneed", "fork", "exit". allows: bits of `Prot` that mprotect left."""

    mm: str
    what: str
    address: int
    pages: int
    allows: int = 0

    def say(self) -> str:
        return f"{self.mm}: {self.what} of {self.pages} page(s) at {self.address:#x}"


MESSAGES: tuple[type[Message], ...] = (
    Mmap, Mapped, Munmap, Mprotect, MadviseDontneed, Madvise, Mremap, ForkMm, ReadPagemap, PagemapEntry, ExitMm,
    ActivateMm, KillPending, HandleFault, GetUserPages, UserPages, PageMkclean, PageReferenced, TryToUnmap, Unmapped,
    TryToUnmapFlush, UnmapRange,
)  # fmt: skip
TRACEPOINTS: tuple[type[Tracepoint], ...] = (
    Fault,
    PagesPinned,
    Mkclean,
    Unmap,
    MmLayout,
)
