"""Rules of sharing: copy-on-write, fork, swap, migration (B8)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


class CowReuse(RuleValue):
    """When a write fault on a read-only anonymous page reuses it instead of copying (B8)."""

    MAPCOUNT = "mapcount", "one mapping or entry in swap: reuse; references do not count [S <= 5.8]"
    REFCOUNT = (
        "refcount",
        "exactly one reference, which the swap cache has too: reuse; huge leaves by mappings [S 5.9 .. 5.17]",
    )
    EXCLUSIVE = (
        "exclusive",
        "PageAnonExclusive: always reuse; else one reference, the swap cache tried first (5.19) [S]",
    )


class CowSwapCache(RuleValue):
    """What becomes of the page that a write fault copied, if it is in the swap cache."""

    LEFT = "left", "it stays there until reclaim finds it [S <= 5.12]"
    FREED = "freed", "free_swap_cache(): it goes at once [S 5.15 .. 7.3]"


class CowLarge(RuleValue):
    """When a write fault reuses a page of a large folio that is mapped page by page and not exclusive."""

    ONE_REFERENCE = "one_reference", "if the folio has no other reference than this mapping [S <= 6.8]"
    NEVER = "never", "never [S 6.12 .. 6.14]"
    OWN_MAPPINGS = "own_mappings", "if all its references are mappings of this process [S 6.17 .. 7.3; 6.15 M]"


class SwapFault(RuleValue):
    """How do_swap_page() maps a page that comes back: writable at once, or as it may have to be copied (S11)."""

    MAPCOUNT = (
        "mapcount",
        "a write fault reuses it if no other mapping or entry has it, references or not [S 5.4 .. 5.17]",
    )
    REFCOUNT = (
        "refcount",
        "a write fault reuses it if nobody else has a reference, after leaving the swap cache [S 5.18]",
    )
    EXCLUSIVE = "exclusive", "its entry remembers PageAnonExclusive: a write fault reuses it [S 5.19 .. 6.8]"
    WRITABLE = "writable", "the same, and a read fault maps it writable, too [S 6.12 .. 7.2]"
    ONLY_EXCLUSIVE = "only_exclusive", "as before, but one reference is no proof any more [S 7.3]"


class ForkSequence(RuleValue):
    """Does a fast pin notice a concurrent fork (S09)?"""

    NONE = "none", "no write_protect_seq"
    SEQCOUNT = "seqcount", "odd or changed: the fast part gives up (5.11) [S 5.12]"


class ForkPinned(RuleValue):
    """What fork does with an anonymous page that may be pinned (B8)."""

    SHARE = "share", "shares it read-only like any other [S <= 5.6]"
    COPY = "copy", "copies it for the child if the mm ever pinned and the page may be pinned (5.9) [S]"
    COPY_EXCLUSIVE = "copy_exclusive", "copies it if it is exclusive and may be pinned (5.19) [S]"


class MigrateOrder(RuleValue):
    """How migration makes sure that nobody has a reference on the page that it copies (S22, S44)."""

    UNMAP_FIRST = "unmap_first", "a migration entry and a flush, then a look at the count: base pages in every kernel"
    HINTED = "hinted", "the count, the copy, the new entry, all behind a NUMA-hinting entry: THP of 3.8 to 4.13 [W]"
    COUNT_FIRST = "count_first", "a look at the count, then the migration entry: a mutation"
