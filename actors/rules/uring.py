"""Rules of io_uring's fixed buffers (kernel-facts)."""

from __future__ import annotations

from gupsim.actors.rules.value import RuleValue


class UringFile(RuleValue):
    """io_uring fixed buffers over mappings of files (kernel-facts, difference 2)."""

    REFUSED = "refused", "EOPNOTSUPP, but for hugetlb: memfds and shared anonymous memory, too [S 5.2 .. 5.12]"
    SHMEM = "shmem", "EOPNOTSUPP, but for hugetlb and shmem [S 5.14 .. 6.4; recorded 6.1]"
    ALLOWED = "allowed", "as pin_user_pages decides [S 6.5 .. 7.3; recorded 6.12, 6.18]"


class UringCoalesce(RuleValue):
    """Does io_uring keep one pin for a whole huge page (kernel-facts, difference 3)?"""

    NO = "no", "one pin for each 4 KiB [recorded 6.1]"
    ONE_FOLIO = "one_folio", "gives the others back, if all of the buffer lies in one folio [S 6.3 .. 6.8]"
    YES = "yes", "gives the others back, of several folios of one size, too [S 6.12 .. 7.3; recorded 6.12, 6.18]"


class UringMemlock(RuleValue):
    """What io_uring charges to RLIMIT_MEMLOCK (kernel-facts, difference 4)."""

    BUFFERS = "buffers", "the buffers [S 5.12 .. 6.13, 7.2, 7.3; recorded 6.1, 6.12]"
    RING_TOO = "ring_too", "the ring as well: two pages for eight entries [S 5.2 .. 5.11, 6.14 .. 7.1; recorded 6.18]"


class UringPin(RuleValue):
    """By which call io_uring pins a fixed buffer."""

    GET = "get", "get_user_pages(FOLL_LONGTERM): plain references [S 5.2 .. 5.4]"
    SLOW = "slow", "pin_user_pages [S 5.6 .. 6.8]"
    FAST = "fast", "pin_user_pages_fast [S 6.12 .. 7.3]"


class UringOrder(RuleValue):
    """What io_uring does first with a fixed buffer: which error wins."""

    CHARGE = "charge", "it charges RLIMIT_MEMLOCK, then pins, then looks at the mapping: ENOMEM wins [S 5.2 .. 5.9]"
    PIN = "pin", "it pins, looks at the mapping, then charges: EFAULT and EOPNOTSUPP win [S 5.10 .. 7.3]"


class UringAccount(RuleValue):
    """How many pages a fixed buffer is charged."""

    PAGES = "pages", "its own [S 5.2 .. 5.9]"
    FOLIOS = "folios", "all of each compound page, once for each ring [S 5.10 .. 7.3]"


class UringPinned(RuleValue):
    """Whose fixed buffers count in VmPin."""

    NOBODY = "nobody", "nobody's: it is the user alone that is charged [S 5.4 .. 5.8]"
    EVERYBODY = "everybody", "everybody's [S 5.9 .. 7.1]"
    UNPRIVILEGED = "unprivileged", "not those of who has CAP_IPC_LOCK [S 7.2, 7.3; recorded 7.2, 7.3]"


class UringExit(RuleValue):
    """Who gives a ring's pages and charges back when its last descriptor is closed."""

    CLOSER = "closer", "whoever closes it, before close() returns [S 5.2 .. 5.6]"
    WORKER = "worker", "a worker, later [S 5.7 .. 7.3]"
