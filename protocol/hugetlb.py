"""Huge pages of a pool that is filled at boot: hugetlbfs, MAP_HUGETLB (mm/hugetlb.c).

order: of a huge page, 9 for 2 MiB and 18 for 1 GiB on x86. There is one pool for each order.
"""

from __future__ import annotations

from gupsim.protocol.memmap import Allocated
from gupsim.protocol.message import Done, Message, Request, Status


class ReserveHuge(Request[Status], frozen=True):
    """hugetlb_acct_memory(): promise `pages` more huge pages (or, if negative, fewer) to somebody who maps them;
    -12 (-ENOMEM) if the pool has not so many that are free and not promised. From mm, to memmap."""

    order: int
    pages: int


class AllocHuge(Request[Allocated], frozen=True):
    """alloc_hugetlb_folio(): a huge page with one reference, content undefined; -12 (-ENOMEM) if there is none.
    reserved: one that was promised to the caller. From mm, to memmap."""

    order: int
    reserved: bool


class PunchHuge(Request[Done], frozen=True):
    """hugetlbfs_punch_hole(), remove_inode_hugepages(): the pages of a hugetlbfs file go, mapped or not, and so do the
    promises made for them. first, pages: in base pages. From the owner of the file, to mm."""

    ino: int
    first: int
    pages: int


MESSAGES: tuple[type[Message], ...] = (ReserveHuge, AllocHuge, PunchHuge)
