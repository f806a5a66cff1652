"""Which combinations of FOLL_* flags get_user_pages and pin_user_pages refuse (B1, step 1)."""

from __future__ import annotations

import errno

from actors.rules.pins import LongtermApi, PinApi
from actors.rules.rules import KernelRules
from protocol.mm import Foll


def refuse_flags(flags: int, rules: KernelRules, *, fast: bool = False) -> tuple[int, str]:
    """(negative errno, the WARN's text) for an illegal mix; (0, "") if the flags may be used. fast: in a _fast call."""
    if flags & Foll.GET and flags & Foll.PIN:
        return -errno.EINVAL, "FOLL_GET and FOLL_PIN are mutually exclusive"
    if flags & Foll.PIN and rules.pin_api is PinApi.NONE:
        return -errno.EINVAL, "FOLL_PIN is unknown to this kernel"
    if flags & Foll.UNSHARE:
        return -errno.EINVAL, "FOLL_UNSHARE is internal"
    if flags & Foll.FAST_ONLY and not fast:
        return -errno.EINVAL, "FOLL_FAST_ONLY is internal"
    if flags & Foll.LONGTERM and rules.longterm_api is LongtermApi.FLAG and not flags & Foll.PIN:
        return -errno.EINVAL, "FOLL_LONGTERM requires FOLL_PIN"
    return 0, ""
