"""Folios of several pages: their mappings, and how they fall apart (B5)."""

from __future__ import annotations

from typing import Final

from gupsim.actors.base import handles
from gupsim.actors.memmap.references import References
from gupsim.protocol.folio import FolioSplit, GetTails, MostMapped, SplitFolio, SplitMapping
from gupsim.protocol.memmap import Counts, Page
from gupsim.protocol.message import DONE, Done

PER_PAGE: Final = int(Page.ANON_EXCLUSIVE)
"""PageAnonExclusive belongs to the page, not to its folio: of a huge leaf it is the first page's."""
_PLACE: Final = int(Page.HEAD | Page.TAIL)
_INHERITED: Final = sum(Page) & ~(PER_PAGE | _PLACE | int(Page.LRU))
"""Flags that the pages of a folio keep when it falls apart; they join the LRU lists one by one."""


class Folios(References):
    """What is asked of large folios alone."""

    @handles(GetTails)
    def get_tails(self, msg: GetTails) -> Done:
        """get_huge_page_tail() for each page, get_head_page_multiple()."""
        head = self.folio(msg.head)
        self.counts.get(head, msg.amount, "gup", msg.holder)
        if self.frames.order(head):
            self.tail_pins.add_each(head, range(msg.pfn, msg.pfn + msg.amount), msg.holder)
        return DONE

    @handles(MostMapped)
    def most_mapped(self, msg: MostMapped) -> Counts:
        """page_trans_huge_mapcount()."""
        head = self.folio(msg.pfn)
        order = self.frames.order(head)
        maps = self.folio_maps.most(head, 1 << order) if order else self.counts.maps[head]
        return Counts(refs=self.counts.refs.read(head), maps=maps)

    @handles(SplitMapping)
    def split_mapping(self, msg: SplitMapping) -> Done:
        """folio_add_anon_rmap_ptes(), folio_remove_rmap_pmd(): never without a mapping in between."""
        head = self.folio(msg.pfn)
        pages = 1 << self.frames.order(head)
        for pfn, ledger in zip(range(head, head + pages), msg.ledgers, strict=True):
            self.folio_maps.add_page(head, pfn, 1)
            self.counts.rename(head, 1, ("map", msg.ledger), ("map", ledger), quiet=True)
            if msg.exclusive:
                self.flags.change(pfn, PER_PAGE, 0)
        self.folio_maps.add_entire(head, pages, -1)
        self.counts.maps.add(head, pages - 1)
        return DONE

    @handles(SplitFolio)
    def split_folio(self, msg: SplitFolio) -> Done:
        """__split_huge_page(): one step, since who comes before its end finds a count of zero in either half."""
        head = self.folio(msg.pfn)
        order = self.frames.order(head)
        pages = 1 << order
        inherited = self.flags.test(head, _INHERITED)
        context = self.port.context
        self.frames.split(head)
        self.flags.change(head, 0, _PLACE)
        self.folio_maps.clear(head, pages)
        if self.counts.frozen(head):
            self.counts.unfreeze(head, msg.count)
        maps = self.counts.maps[head]
        for tail in range(head + 1, head + pages):
            self.flags.change(tail, inherited, _PLACE)
            self.counts.maps[tail] = maps
            self.counts.part(tail, msg.count, msg.kind, context)
            for holder, amount in self.tail_pins.take(tail):
                self.counts.hand_over(head, tail, amount, holder)
            self.locks.trylock(tail)
        self.trace(FolioSplit(pfn=head, order=order, refs=self.counts.refs.read(head)))
        return DONE
