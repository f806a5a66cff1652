"""Rules of hugetlb, which has its own page-table code and so its own eras (B8)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


class HugetlbFork(RuleValue):
    """What fork does with a huge page that may be pinned."""

    SHARE = "share", "shares it: nobody asks [S <= 5.11]"
    COPY = "copy", "copies it if the mm ever pinned; not under write_protect_seq (4eae4efa2c29, 5.12) [S 5.12 .. 5.18]"
    COPY_EXCLUSIVE = "copy_exclusive", "copies it if it is exclusive, under write_protect_seq [S 5.19 .. 7.3]"


class HugetlbChild(RuleValue):
    """The child's entry of a huge page that fork copied."""

    WRITABLE = "writable", "writable and dirty, whatever the mapping allows [S 5.12 .. 6.13]"
    AS_MAPPED = "as_mapped", "writable if the mapping is [S 6.14 .. 7.3]"


class HugetlbForce(RuleValue):
    """FOLL_FORCE for writing to a private mapping of huge pages that is read-only."""

    WRITABLE = (
        "writable",
        "a private copy, whose entry is writable from then on: the process may store as well [S <= 5.19]",
    )
    SIGSEGV = "sigsegv", "EFAULT and a WARN in hugetlb_wp() [S 6.0, 6.1]"
    REFUSED = "refused", "EFAULT (f347454d0341, 6.2) [S 6.2 .. 6.13, 6.1.192]"
    READ_ONLY = "read_only", "a private copy behind a read-only entry, as of small pages [S 6.14 .. 7.3]"


class HugetlbDontneed(RuleValue):
    """MADV_DONTNEED of huge pages."""

    REFUSED = "refused", "EINVAL [S <= 5.17]"
    ROUND_UP = (
        "round_up",
        "of every huge page that the range begins or touches; EINVAL for a start within one [S 5.18 .. 6.0]",
    )
    ROUND_DOWN = "round_down", "of every huge page that lies in the range whole [S 6.1 .. 7.3]"
