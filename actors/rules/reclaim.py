"""Rules of reclaim (B9)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


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
    KEEP_BUFFERS = "keep_buffers", "activate, stop here (d824ec2a1546) [S 6.3.8, not 6.2]"


class ReclaimWrites(RuleValue):
    """Step 7 of B9: does reclaim write dirty file pages itself?"""

    KSWAPD = "kswapd", "only kswapd, as long as ext4 has a ->writepage [S <= 6.1]"
    NEVER = "never", "never: ext4 has none (6.2) [S 6.2.1 .. 7.3]"


class Lazyfree(RuleValue):
    """What reclaim asks of a page after MADV_FREE, once its entry is cleared (6c8e2a256915)."""

    UNCHECKED = (
        "unchecked",
        "whether it is dirty: a clean page in use is lost to the process, which reads zeroes [S <= 5.17]",
    )
    RESTORED = (
        "restored",
        "references, too: the entry comes back, and the page is an ordinary one again [S 5.18 .. 6.14]",
    )
    KEPT = "kept", "the entry comes back; a page that is only in use may still be dropped later [S 6.17 .. 7.3]"
