"""Rules of io_uring's fixed buffers (kernel-facts)."""

from __future__ import annotations

from actors.rules.value import RuleValue


class UringFile(RuleValue):
    """io_uring fixed buffers over mappings of files (kernel-facts, difference 2)."""

    REFUSED = "refused", "EOPNOTSUPP, but for hugetlb and shmem [recorded 6.1]"
    ALLOWED = "allowed", "as pin_user_pages decides [recorded 6.12, 6.18]"


class UringCoalesce(RuleValue):
    """Does io_uring keep one pin for a whole huge page (kernel-facts, difference 3)?"""

    NO = "no", "one pin for each 4 KiB [recorded 6.1]"
    YES = "yes", "gives the others back at registration [recorded 6.12, 6.18]"


class UringMemlock(RuleValue):
    """What io_uring charges to RLIMIT_MEMLOCK (kernel-facts, difference 4)."""

    BUFFERS = "buffers", "the buffers [recorded 6.1, 6.12]"
    RING_TOO = "ring_too", "the ring as well: two pages for eight entries [recorded 6.18]"
