"""Rules of huge pages (B5)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


class ThpEnabled(RuleValue):
    """/sys/kernel/mm/transparent_hugepage/enabled."""

    NEVER = "never", "no huge pages at faults"
    MADVISE = "madvise", "where MADV_HUGEPAGE was asked for"
    ALWAYS = "always", "wherever a mapping has room"


class ThpSplit(RuleValue):
    """How the split of a huge page keeps fast walkers out (B5, S20)."""

    SPLITTING_BIT = "splitting_bit", "a bit in the pmd, then a flush to get in step with them [S 3.17]"
    FREEZE = "freeze", "pmd invalidated and flushed; the page is split with its count frozen to 0 (4.5) [S]"
    NO_FREEZE = "no_freeze", "the count is compared, not frozen: a mutation"


class ThpMapcount(RuleValue):
    """How a write fault counts who maps a page of a huge page (B8, S29); only where it goes by mappings at all."""

    PAGE = "page", "the mappings of the page itself: page_trans_huge_mapcount() (6d0a07edd17c, 4.6) [S 4.6]"
    TOTAL = "total", "those of all its pages together: a page of a split mapping looks shared [M 4.5]"


class CollapseCount(RuleValue):
    """Which references of a small page khugepaged puts up with."""

    ONE_MAPPING = "one_mapping", "one, and the swap cache's: no page that two processes map [S 4.6 .. 5.7]"
    MAPPINGS = (
        "mappings",
        "as many as mappings and the swap cache explain; max_ptes_shared limits the former [S 5.8 .. 7.3]",
    )


class CollapseSwap(RuleValue):
    """A range of which some pages are swapped out."""

    REFUSED = "refused", "is left alone [S 3.17, 4.6]"
    READ_IN = "read_in", "they are read in first, if they are not more than max_ptes_swap [S 4.14 .. 7.3]"


class CollapseReadonly(RuleValue):
    """Must the entries of the range be writable?"""

    EVERY = "every", "each of them [S 3.17]"
    REFUSED = "refused", "one of them at least: SCAN_PAGE_RO [S 4.6 .. 6.17]"
    COLLAPSED = "collapsed", "no [S 6.18 .. 7.3]"


class CollapseSync(RuleValue):
    """Does khugepaged interrupt every CPU before it touches the table it took out (B5 ★, S17)?"""

    NONE = "none", "no [S 6.0.1, 6.1-rc7]"
    IPI = "ipi", "tlb_remove_table_sync_one() (2ba99c5e0881, 6.1 [M]) [S 6.2.1, 5.15.215]"
