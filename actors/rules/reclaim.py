"""Rules of reclaim (B9)."""

from __future__ import annotations

from actors.rules.value import RuleValue


class ReclaimPinnedAnon(RuleValue):
    """Step 4 of B9: may a pinned anonymous page enter the swap cache (S11)?"""

    ALLOWED = "allowed", "yes [S 5.9]"
    REFUSED = "refused", "maybe_dma_pinned: keep (5.11) [S 5.12]"


class UnmapPinnedAnon(RuleValue):
    """try_to_unmap of an exclusive anonymous page that may be pinned (B9, step 5)."""

    UNMAP = "unmap", "knows nothing of pins"
    ABORT = "abort", "restores the entry and gives up (5.19) [S]"


class ReclaimPinnedFile(RuleValue):
    """Step 6 of B9: what reclaim does with a file page that may be pinned, once it is unmapped."""

    STRIP = "strip", "goes on: drops its buffers, then fails to free it: S01 starts here"
    KEEP_BUFFERS = "keep_buffers", "activate, stop here (6.4/6.5, d824ec2a1546) [S 6.12]"


class ReclaimWrites(RuleValue):
    """Step 7 of B9: does reclaim write dirty file pages itself?"""

    KSWAPD = "kswapd", "only kswapd [S <= 6.12]"
    NEVER = "never", "never for files (6.16) [S 6.17]"
