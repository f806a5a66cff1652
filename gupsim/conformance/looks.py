"""The coordinator's observations, from what the observer of the model saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gupsim.conformance.errors import Unsupported
from gupsim.protocol.memmap import ZERO_PFN, Page
from gupsim.protocol.observer import FrameSeen, PageSeen, TaskSeen

_KB: Final = 4
"""Of a page."""


def _bit(bit: Page) -> Callable[[FrameSeen], bool]:
    return lambda frame: bool(frame.flags & bit)


FLAGS: Final[dict[str, Callable[[FrameSeen], bool]]] = {
    "DIRTY": _bit(Page.DIRTY),
    "WRITEBACK": _bit(Page.WRITEBACK),
    "UPTODATE": _bit(Page.UPTODATE),
    "SWAPCACHE": _bit(Page.SWAPCACHE),
    "SWAPBACKED": _bit(Page.SWAPBACKED),
    "ANON": _bit(Page.ANON),
    "MMAP": lambda frame: frame.maps > 0,
    "COMPOUND_HEAD": lambda frame: frame.folio > 1 and frame.pfn == frame.head,
    "COMPOUND_TAIL": lambda frame: frame.folio > 1 and frame.pfn != frame.head,
    "THP": lambda frame: frame.folio > 1 and not frame.flags & Page.HUGETLB,
    "HUGE": _bit(Page.HUGETLB),
    "ZERO_PAGE": lambda frame: frame.pfn == ZERO_PFN,
}
"""KPF_* that the model can tell. Those of the LRU lists depend on when the kernel drains its batches, and KPF_KSM is
reported for every anonymous page by some kernels."""

_OF_TAILS: Final = ("ANON", "MMAP", "COMPOUND_HEAD", "COMPOUND_TAIL", "THP", "HUGE", "ZERO_PAGE")
"""What all kernels report of the folio; of a tail page they differ in whose other flags they show."""


def flags(frame: FrameSeen, wanted: str) -> dict[str, int]:
    """/proc/kpageflags."""
    names = wanted.split(",")
    if frame.pfn != frame.head and not set(names) <= set(_OF_TAILS):
        raise Unsupported("pageflags: of a tail page of a large folio")
    return {flag: int(FLAGS[flag](frame)) for flag in names}


def compared(page: PageSeen, mark: int) -> str:
    """Is the frame the one that was marked?"""
    if page.pfn < 0:
        return absent(page)
    return "same" if page.pfn == mark else "changed"


def absent(page: PageSeen) -> str:
    """What there is instead of a frame."""
    return f"not-present:{page.state}"


def mapcount(frame: FrameSeen) -> int:
    """/proc/kpagecount."""
    if frame.folio > 1:
        raise Unsupported("mapcount: of a page in a large folio")
    return frame.maps


def status(task: TaskSeen) -> dict[str, int]:
    """/proc/PID/status."""
    return {"VmPin": task.pinned * _KB, "VmLck": task.locked * _KB}


def huge(page: PageSeen) -> Any:
    """smaps: AnonHugePages of the mapping."""
    return page.anon_huge * _KB
