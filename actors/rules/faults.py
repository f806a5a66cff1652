"""Rules of sharing: copy-on-write, fork, swap, migration (B8)."""

from __future__ import annotations

from actors.rules.value import RuleValue


class CowReuse(RuleValue):
    """When a write fault on a read-only anonymous page reuses it instead of copying (B8)."""

    MAPCOUNT = "mapcount", "one mapping: reuse; references do not count [S 4.20, 5.6]"
    REFCOUNT = "refcount", "exactly one reference: reuse (5.9) [S 5.12]"
    EXCLUSIVE = "exclusive", "PageAnonExclusive: always reuse; else one reference (5.19) [S]"


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
