"""Policies: the proposals of the seeds as named changes to an era (section C of kernel-semantics.md)."""

from __future__ import annotations

from gupsim.actors.rules.files import WritebackPinned
from gupsim.actors.rules.pins import LongtermFileWrite, PinnedOnLru, PinUnderWriteback
from gupsim.actors.rules.reclaim import ReclaimPinnedFile
from gupsim.actors.rules.value import RuleValue

POLICIES: dict[str, tuple[dict[str, RuleValue], str]] = {
    "lru-removal": (
        {"pinned_on_lru": PinnedOnLru.REMOVE},
        "P2: pinned pages leave the LRU, so that reclaim never meets them; the flusher still does",
    ),
    "skip-pinned": (
        {"writeback_pinned": WritebackPinned.SKIP, "reclaim_pinned_file": ReclaimPinnedFile.KEEP_BUFFERS},
        "P4: reclaim and writeback leave pinned pages alone; a sync cannot write them",
    ),
    "wait-for-unpin": (
        {"writeback_pinned": WritebackPinned.WAIT},
        "P5: writeback waits for the unpin; for a long pin that is for ever",
    ),
    "bounce": (
        {"writeback_pinned": WritebackPinned.BOUNCE},
        "P6: a snapshot of a pinned page is written; the page stays dirty while it is pinned",
    ),
    "wait-under-writeback": (
        {"pin_under_writeback": PinUnderWriteback.WAIT},
        "P1: no pin is taken on a page under writeback; a writeback that starts later is not held up",
    ),
    "keep-buffers": (
        {"reclaim_pinned_file": ReclaimPinnedFile.KEEP_BUFFERS},
        "reclaim keeps the buffers of a page that may be pinned, as mainline does since 6.5",
    ),
    "refuse-longterm-files": (
        {"longterm_file_write": LongtermFileWrite.REFUSED},
        "P15: long-term write pins of shared file mappings are refused, as in mainline since 6.5",
    ),
}
"""Name of a policy, the rules that it changes and one line about it."""
