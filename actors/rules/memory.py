"""Rules of the memory side: how page tables are walked, flushed and freed, huge pages, fork (B1, B4, B5, B8)."""

from __future__ import annotations

from actors.rules.value import RuleValue


class FastGup(RuleValue):
    """Which lockless walk a platform has (B1 "Architectural eras", table D "fast GUP code")."""

    NONE = "none", "none: every call takes the mmap lock [S 3.17 arm64]"
    X86 = "x86", "x86's own: plain get_page under IRQ-off, no speculation, no re-check [S 3.17, 4.6]"
    GENERIC = "generic", "speculative get and re-check of the entry [S 4.6 generic, 4.20]"


class FastProtnone(RuleValue):
    """Does the fast walk refuse NUMA-hinting entries (B1 P2, S22)?"""

    STOP = "stop", "protnone entries go to the slow path, every released kernel"
    IGNORED = "ignored", "the generic code as it was reviewed in 2014: pins the page that is being migrated"


class SlowNumaFault(RuleValue):
    """What slow GUP does with a NUMA-hinting entry (B2)."""

    FAULT = "fault", "faults first, unless FOLL_FORCE (FOLL_NUMA) [S 4.20]"
    FOLLOW = "follow", "follows it as if it were normal (6.6) [S 6.12]"


class PteSpecial(RuleValue):
    """Has a last-level entry a bit for pages without struct page semantics (B1 P5, S24)?"""

    YES = "yes", "pte_special: the fast walk refuses such an entry"
    NO = "no", "none: the last level is never walked without locks"
    IGNORED = "ignored", "none, and the last level is walked all the same: a mutation, S24"


class PteRead(RuleValue):
    """How an entry that is wider than a machine word is read and written (B1 "Torn reads", S23)."""

    ATOMIC = "atomic", "one load: 64-bit machines and LPAE"
    LOOPED = "looped", "low, high, low again: x86 PAE"
    NAIVE = "naive", "low, then high: may mix two entries; a mutation"


class TlbFlush(RuleValue):
    """How the translations of other CPUs are dropped (B4)."""

    IPI = "ipi", "an interrupt; waits for every CPU's handler, and so for its IRQ-off sections: x86"
    BROADCAST = "broadcast", "by hardware; waits for instructions in flight only: arm64, AMD INVLPGB (6.15)"
    PARAVIRT = "paravirt", "an interrupt, but a preempted virtual CPU flushes when it resumes: nobody waits for it [M]"


class TableFree(RuleValue):
    """What must pass before a page-table page that was unlinked may be used again (B4, I2; S18)."""

    IPI = "ipi", "the TLB flush alone, which waits for IRQ-off sections if it is an IPI: x86 without PARAVIRT"
    RCU = "rcu", "an RCU-sched grace period: x86 with PARAVIRT (4.14), arm64 (3.18), x86 always (6.15)"


class TableBatch(RuleValue):
    """Can the batch of table pages for RCU be allocated (B4, S19)?"""

    ALLOCATED = "allocated", "yes"
    FAILS = "fails", "no memory: an IPI to all CPUs, then the table is freed at once"


class TableSync(RuleValue):
    """What the path without a batch waits for (B4, S19)."""

    IPI = "ipi", "tlb_remove_table_smp_sync: every CPU has interrupts on once"
    NONE = "none", "nothing: a mutation"


class TableSingleUser(RuleValue):
    """The shortcut "mm_users < 2: nobody else can walk these tables" (B4, S19)."""

    SHORTCUT = "shortcut", "free table pages at once [S 4.6; removed in 4.19]"
    NONE = "none", "no shortcut"


class LazyTlb(RuleValue):
    """Does a shootdown spare CPUs that run a kernel thread on a borrowed mm (B4)?"""

    SKIP = "skip", "spared, unless tables are freed: they catch up by tlb_gen when they return"
    SKIP_ALWAYS = "skip_always", "spared even then: a mutation"


class CatchUp(RuleValue):
    """What a CPU does when it returns to an mm that was flushed meanwhile (B4)."""

    TLB_GEN = "tlb_gen", "compares generations and flushes"
    NONE = "none", "goes on with what it has: a mutation"


class ReclaimFlush(RuleValue):
    """When try_to_unmap flushes (B4 "Reclaim batching", S50)."""

    AT_ONCE = "at_once", "at each entry [S 3.17]"
    DEFERRED = "deferred", "once, before I/O or before the pages are freed (4.3) [S 4.20]"


class FlushPending(RuleValue):
    """Do munmap, mprotect and mremap look for a flush that reclaim still owes (S50)?"""

    IGNORED = "ignored", "no [M < 4.13]"
    FLUSHED = "flushed", "flush_tlb_batched_pending() under the page-table lock (3ea277194daa, 4.13) [S 4.20]"


class MremapFlush(RuleValue):
    """When mremap flushes the old address (S50, CVE-2018-18281)."""

    AFTER_LOCK = "after_lock", "after the page-table lock was dropped [W < 4.19]"
    UNDER_LOCK = "under_lock", "before (eb66ae030829, 4.19) [W]"


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


class CollapseSync(RuleValue):
    """Does khugepaged interrupt every CPU before it touches the table it took out (B5 ★, S17)?"""

    NONE = "none", "no [S 6.0.1]"
    IPI = "ipi", "tlb_remove_table_sync_one() (2ba99c5e0881, 6.1)"


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
