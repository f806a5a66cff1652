"""Large folios: which page belongs to which, their mappings, their split (B3, B5).

A folio is addressed by any of its pages; what is said of a page of its own says so.
"""

from __future__ import annotations

from gupsim.protocol.memmap import Counts
from gupsim.protocol.message import Done, Message, Request, Tracepoint


class SplitMapping(Request[Done], frozen=True):
    """The rmap part of split_huge_pmd: a folio is mapped by entries instead of by one huge leaf. References that the
    leaf held (taken for the entries before) become theirs.

    ledger: of the leaf; ledgers: of the entry of each page. exclusive: PageAnonExclusive of the leaf, for every page.
    """

    pfn: int
    ledger: str
    ledgers: tuple[str, ...]
    exclusive: bool


class GetTails(Request[Done], frozen=True):
    """gup_huge_pmd() before 4.5: references of the folio `head`, as the entry says, for `amount` pages from `pfn` on.
    Nobody looks whether it is still that folio: then all are the first page's."""

    head: int
    pfn: int
    amount: int
    holder: str


class MostMapped(Request[Counts], frozen=True):
    """page_trans_huge_mapcount(): refs of the folio, and how many entries map that of its pages which has the most."""

    pfn: int


class SplitFolio(Request[Done], frozen=True):
    """__split_huge_page(): each page becomes a folio of its own. From mm, folio locked and unmapped.

    With the count frozen to 0 each page gets `count` references; otherwise (rule thp_split) the first page keeps what
    the folio had. kind: of the references, which are the caller's. Every page is locked by the caller afterwards.
    """

    pfn: int
    count: int
    kind: str


class FolioSplit(Tracepoint, frozen=True, tag="page:split"):
    """A folio of 2**order pages became that many folios of one page. refs: references of the first one."""

    pfn: int
    order: int
    refs: int

    def say(self) -> str:
        return f"huge page {self.pfn} split into {1 << self.order} pages"


MESSAGES: tuple[type[Message], ...] = (SplitMapping, GetTails, MostMapped, SplitFolio)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (FolioSplit,)
