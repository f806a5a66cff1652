"""What a kernel does not know yet: before it was introduced, a call fails with one errno and no WARN."""

from __future__ import annotations

from typing import Final

from gupsim.actors.rules.value import RuleValue


class MadvFree(RuleValue):
    """MADV_FREE."""

    ABSENT = "absent", "EINVAL [S 3.17]"
    PRESENT = "present", "since 4.5 [M; S 4.6]"


class MadvWipeonfork(RuleValue):
    """MADV_WIPEONFORK, MADV_KEEPONFORK."""

    ABSENT = "absent", "EINVAL [S 4.6]"
    PRESENT = "present", "since 4.14 [M; S 4.14]"


class MadvPageout(RuleValue):
    """MADV_PAGEOUT."""

    ABSENT = "absent", "EINVAL [S 5.3]"
    PRESENT = "present", "since 5.4 [S 5.4]"


class MadvPopulate(RuleValue):
    """MADV_POPULATE_READ, MADV_POPULATE_WRITE."""

    ABSENT = "absent", "EINVAL [S 5.12]"
    PRESENT = "present", "since 5.14 [S 5.14-rc5]"


class MadvCollapse(RuleValue):
    """MADV_COLLAPSE."""

    ABSENT = "absent", "EINVAL [S 6.0]"
    PRESENT = "present", "since 6.1 [S 6.1-rc7]"


class MfdHugetlb(RuleValue):
    """memfd_create() with MFD_HUGETLB."""

    ABSENT = "absent", "EINVAL [S 4.6]"
    PRESENT = "present", "since 4.14 [M; S 4.14]"


class SealFutureWrite(RuleValue):
    """F_SEAL_FUTURE_WRITE."""

    ABSENT = "absent", "EINVAL [S 4.20]"
    PRESENT = "present", "since 5.1 [M; S 5.2]"


class UringSetup(RuleValue):
    """io_uring_setup(), io_uring_register()."""

    ABSENT = "absent", "ENOSYS [S 4.20]"
    PRESENT = "present", "since 5.1 [M; S 5.2]"


ADVICE: Final = {
    "free": "madv_free",
    "wipeonfork": "madv_wipeonfork",
    "keeponfork": "madv_wipeonfork",
    "pageout": "madv_pageout",
    "populate_read": "madv_populate",
    "populate_write": "madv_populate",
    "collapse": "madv_collapse",
}
"""Advice and the rule that says whether a kernel knows it; MADV_DONTNEED and the others are older than all eras."""

ABSENT: Final = "absent"
