"""Why written bytes did not reach the disk: what happened to a page's dirty state around them."""

from __future__ import annotations

from typing import ClassVar, Final

from gupsim.checkers.names import FrameKey, frame_key
from gupsim.protocol.flusher import WritebackEnd, WritebackSkip, WritebackStart
from gupsim.protocol.fs import DiscardDirty, PageMkwriteDone, SetPageDirtyDone
from gupsim.protocol.memmap import Page, PageAlloc, PageFlags
from gupsim.protocol.message import Tracepoint
from gupsim.trace.records import Event

_DIRTY: Final = int(Page.DIRTY)


class DirtyHistory:
    """Indices of the last events of each kind for one page; -1: never.

    marked: dirty with its tag. flagged: PG_dirty alone. started, ended: writeback. failed: it ended in `error`.
    discarded: dirty state thrown away. skipped: writeback passed it by, for `why`.
    """

    __slots__ = ("by", "discarded", "ended", "error", "failed", "flagged", "marked", "skipped", "started", "why")

    def __init__(self) -> None:
        self.marked = self.flagged = self.started = self.ended = -1
        self.failed = self.discarded = self.skipped = -1
        self.error = 0
        self.why = self.by = ""


class DirtyHistories:
    """The dirty state of every page over time. Feed it what `reads` lists."""

    reads: ClassVar[tuple[type[Tracepoint], ...]] = (
        SetPageDirtyDone,
        PageMkwriteDone,
        PageFlags,
        PageAlloc,
        WritebackStart,
        WritebackEnd,
        WritebackSkip,
        DiscardDirty,
    )

    def __init__(self) -> None:
        self._pages: dict[FrameKey, DirtyHistory] = {}

    def feed(self, event: Event) -> None:
        """Take one event."""
        point = event.point
        kind = type(point)
        key = frame_key(event, point.pfn)
        if kind is PageAlloc:
            self._pages.pop(key, None)
            return
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = DirtyHistory()
        at = event.index
        if kind is SetPageDirtyDone:
            page.marked, page.by = at, point.by
        elif kind is PageMkwriteDone:
            if not point.error:
                page.marked, page.by = at, "page_mkwrite"
        elif kind is PageFlags:
            if point.set & _DIRTY:
                page.flagged = at
        elif kind is WritebackStart:
            page.started = at
        elif kind is WritebackEnd:
            page.ended = at
            if point.error:
                page.failed, page.error = at, point.error
        elif kind is WritebackSkip:
            page.skipped, page.why = at, point.why
        elif kind is DiscardDirty:
            page.discarded = at

    def why_not_written(self, key: FrameKey, written: int) -> str:
        """What the tracepoints say about bytes that came with event `written` and are not on disk."""
        page = self._pages.get(key) or DirtyHistory()
        if page.discarded > written:
            return "the file system discarded the dirty state because the page had no buffers, and wrote nothing"
        if page.failed > written:
            return f"writing the page failed with error {page.error}"
        if page.skipped > max(written, page.started):
            return f"writeback skipped the page ({page.why.replace('_', ' ')})"
        if page.marked > written:
            return f"{page.by} marked the page dirty after them, but no writeback has stored them"
        if page.flagged > written:
            return "only PG_dirty was set after them, without the dirty tag by which writeback finds a page"
        return self._never_dirtied(page, written)

    @staticmethod
    def _never_dirtied(page: DirtyHistory, written: int) -> str:
        if page.started < 0:
            return "nobody ever marked the page dirty after them"
        if page.started < written and not page.started < page.ended < written:
            return (
                "they came while the page was under writeback, behind the reading disk, and nobody marked the page"
                " dirty afterwards"
            )
        if page.started > written:
            return "a writeback that began after them stored older content, and nobody marked the page dirty again"
        earlier = f" ({page.by} had, too early)" if 0 <= page.marked < written and page.by != "page_mkwrite" else ""
        return f"writeback had cleaned the page before, and nobody marked it dirty after the last write{earlier}"
