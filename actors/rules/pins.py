"""Rules of pins: the calls, their counts, the lockless walk and the slow one (B1, B2, B3)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


class PinApi(RuleValue):
    """What pin_user_pages does to a page (B3, table D "pin API", "pins counted")."""

    NONE = "none", "pin_user_pages does not exist: the call fails with ENOSYS; drivers use get_user_pages"
    PLACEHOLDER = "placeholder", "pin_user_pages is an alias of get_user_pages: +1, nobody can tell [S 5.6]"
    BIAS = "bias", "+1024 on small folios, exact pincount on compound pages of order >= 2 [S 5.7, 5.12]"
    BIAS_ONLY = "bias_only", "+1024 on every page, large folios too: the draft of seed 1, never released"
    BIAS_ALL_LARGE = "bias_all_large", "+1024 on small folios, exact pincount on every large folio (5.18) [S 5.18.12]"


class DriverCall(RuleValue):
    """Which call a driver of the era uses for its pages when the scenario does not say (table D, RDMA/VFIO)."""

    GET = "get", "get_user_pages: a plain reference, invisible to everybody"
    PIN = "pin", "pin_user_pages: recognisable as a DMA pin where the era counts pins"


class OverflowGuard(RuleValue):
    """Does taking a reference look at the sign of the count (S15, CVE-2019-11487)?"""

    NONE = "none", "the count wraps [S 4.20]"
    GUARD = "guard", "ENOMEM if it is not positive (try_get_page, 5.1) [S 5.6]"


class FastGup(RuleValue):
    """Which lockless walk a platform has (B1 "Architectural eras", table D "fast GUP code")."""

    NONE = "none", "none: every call takes the mmap lock [S 3.17 arm64]"
    X86 = "x86", "x86's own: plain get_page under IRQ-off, no speculation, no re-check [S 3.17, 4.6]"
    GENERIC = "generic", "speculative get and re-check of the entry [S 4.6 generic, 4.20]"


class FastHeadRecheck(RuleValue):
    """Does GUP-fast look at the folio again after the speculative get (B1, P6; S21)?"""

    NO = "no", "[S 5.12]"
    YES = "yes", "since 5.14 [S 5.15]"


class FastPmdRecheck(RuleValue):
    """Does GUP-fast re-read the pmd besides the pte (B1, P8; S16)?"""

    NO = "no", "the pte alone: blind to a collapse [S 5.19]"
    YES = "yes", "70cbc3cc78a9 [S 6.0.1]"


class FastRange(RuleValue):
    """How get_user_pages_fast refuses a bad range (B1, step 3)."""

    CANONICAL = "canonical", "overflow or beyond the user half: the slow path decides, no access_ok [S 3.17]"
    ACCESS_OK = "access_ok", "nr <= 0: 0; access_ok fails: EFAULT [S 4.20]"
    EMPTY_ZERO = "empty_zero", "end <= start: 0; access_ok fails: EFAULT [S 5.6]"
    OVERFLOW_ZERO = "overflow_zero", "overflow: 0; access_ok fails: EFAULT [S 5.12]"
    OVERFLOW_ERRNO = "overflow_errno", "overflow: EOVERFLOW; end beyond the user half: EFAULT [S 6.12]"


class FastProtnone(RuleValue):
    """Does the fast walk refuse NUMA-hinting entries (B1 P2, S22)?"""

    STOP = "stop", "protnone entries go to the slow path, every released kernel"
    IGNORED = "ignored", "the generic code as it was reviewed in 2014: pins the page that is being migrated"


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


class LongtermApi(RuleValue):
    """How FOLL_LONGTERM is asked for and checked (B2)."""

    NONE = "none", "does not exist: a long pin is a plain get_user_pages [S 3.17]"
    SEPARATE = "separate", "get_user_pages_longterm(): plain references, VMAs checked afterwards [S 4.20]"
    FLAG = "flag", "a flag of every call, with or without FOLL_PIN [S 5.4 .. 5.9]"
    PIN_ONLY = "pin_only", "with FOLL_PIN only, else EINVAL and a WARN (is_valid_gup_flags, 5.10) [S 5.10 .. 7.3]"


class PinTouch(RuleValue):
    """Does slow pin_user_pages() mark pages accessed, and for writing dirty, as get_user_pages() does (FOLL_TOUCH)?"""

    TOUCH = "touch", "it is get_user_pages() [S 5.6]"
    NONE = "none", "neither: FOLL_TOUCH is not set; its fast and remote forms touch [S 5.7 .. 6.1, 6.3 .. 7.3]"


class FastLongtermTouch(RuleValue):
    """Does the slow part of a fast call touch pages that are wanted with FOLL_LONGTERM?"""

    NONE = "none", "no: __gup_longterm_locked() is called directly [S 5.2 .. 6.1]"
    TOUCH = "touch", "as of any other call [S 6.2 .. 7.3]"


class FastForce(RuleValue):
    """May FOLL_FORCE be given to get_user_pages_fast()?"""

    REFUSED = "refused", "no: it takes a bool [S 4.20], or EINVAL and a WARN [S 5.4]"
    ACCEPTED = "accepted", "yes; it matters in the slow part only [S 5.6 .. 7.3]"


class GupSignal(RuleValue):
    """Slow GUP of a process that is being killed."""

    RESTART = "restart", "ERESTARTSYS; mmap_lock is waited for all the same [S 3.17 .. 5.6]"
    INTR = "intr", "EINTR; mmap_lock is waited for all the same [S 5.7 .. 6.2]"
    KILLABLE = "killable", "EINTR, and EAGAIN if mmap_lock would have to be waited for [S 6.3 .. 7.3]"


class FollowPfn(RuleValue):
    """What a look-up of the frame behind VM_PFNMAP memory heeds, for drivers whose pin was refused (VFIO)."""

    BLIND = "blind", "follow_pfn(): no permissions [S 3.17 .. 5.11]"
    CHECKED = (
        "checked",
        "follow_pte(), follow_pfnmap_start(): EFAULT for writing where the entry is read-only [S 5.12 .. 7.3]",
    )


class VfioZeroPage(RuleValue):
    """VFIO never gives back a reserved page, and the zero page is one (put_pfn())."""

    LEAKED = "leaked", "each mapping of it leaves a reference, and since 5.7 a pin, for ever [S <= 5.19]"
    UNPINNED = "unpinned", "it is unpinned as soon as it is pinned (6.0) [S 6.0 .. 6.8, 5.15.215]"


class ProcessVm(RuleValue):
    """How process_vm_readv() and process_vm_writev() hold the pages of the other process."""

    GET = (
        "get",
        "get_user_pages: each page is dirtied once it is written to, all are put last page first [S 3.17 .. 5.4]",
    )
    PIN = "pin", "pin_user_pages; unpin_user_pages_dirty_lock() at the end [S 5.6 .. 7.3]"


class LongtermFileWrite(RuleValue):
    """A long-term write pin of a shared mapping of a file that needs dirty tracking (P15)."""

    ALLOWED = "allowed", "nothing is checked"
    REFUSED = "refused", "EFAULT, since 6.5 [S 6.12]"


class ForceCow(RuleValue):
    """When FOLL_FORCE may write through a read-only entry (B2; S13, S14)."""

    DROP_WRITE = "drop_write", "after a COW fault the walk no longer asks for write: Dirty COW [S <= 4.8]"
    COW_DIRTY = "cow_dirty", "after a COW fault, if the entry is dirty (FOLL_COW) [S 4.20, 5.6]"
    ANON_EXCLUSIVE = "anon_exclusive", "if the page is anonymous and exclusive (6.0) [S 6.0, 6.12]"


class UnshareForPin(RuleValue):
    """A read-only pin of an anonymous page that may be shared (B8, B2 step 5)."""

    AS_IS = "as_is", "returned as it is: the pin goes stale at the next COW"
    UNSHARE = "unshare", "FAULT_FLAG_UNSHARE first: a private copy is pinned (5.19) [S]"
    UNSHARE_FILES = "unshare_files", "so are, for a long-term pin, private file pages and the zero page (6.2) [S 6.2.1]"


class ZeroPagePin(RuleValue):
    """What FOLL_PIN does to the shared zero page (B3)."""

    COUNTED = "counted", "pinned like any other"
    IGNORED = "ignored", "neither pin nor unpin touches it (6.5) [S 6.5, 6.1.192]"


class SlowNumaFault(RuleValue):
    """What slow GUP does with a NUMA-hinting entry (B2)."""

    FAULT = "fault", "faults first, unless FOLL_FORCE (FOLL_NUMA) [S 4.20]"
    FOLLOW = "follow", "follows it as if it were normal (6.6) [S 6.12]"


class PinUnderWriteback(RuleValue):
    """Pinning a page that is under writeback right now."""

    ALLOWED = "allowed", "nobody looks: every kernel so far"
    WAIT = "wait", "P1: slow GUP waits for the end of writeback"


class PinnedOnLru(RuleValue):
    """Where pinned pages are while reclaim looks for victims."""

    KEEP = "keep", "on the LRU, where reclaim finds them: every kernel so far"
    REMOVE = "remove", "P2: the first pin takes the page off the LRU, the last unpin returns it"


class DebugVm(RuleValue):
    """CONFIG_DEBUG_VM."""

    OFF = "off", "counts go wrong silently"
    ON = "on", "VM_BUG_ON when more references are dropped than there are"
