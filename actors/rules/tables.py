"""Rules of page tables and TLBs: how they are flushed and freed (B4)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


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


class ZapRmap(RuleValue):
    """When zap removes a dirty file page from the reverse map, seen from the TLB flush (B4, S34)."""

    BEFORE_FLUSH = "before_flush", "page_mkclean can miss a CPU that still writes through its TLB [S <= 6.1]"
    AFTER_FLUSH = "after_flush", "delayed rmap (5df397dec7c4, 6.2) [S 6.2.1]"
