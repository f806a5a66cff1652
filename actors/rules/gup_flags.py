"""What depends on the flags and the form of a call alone: which FOLL_* are refused, and whether it touches (B1, B2)."""

from __future__ import annotations

import errno

from gupsim.actors.rules.pins import FastForce, FastLongtermTouch, LongtermApi, PinApi, PinTouch
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol.mm import Foll, GetUserPages


def refuse_flags(flags: int, rules: KernelRules, *, fast: bool = False) -> tuple[int, str]:
    """(negative errno, the WARN's text) for an illegal mix; (0, "") if the flags may be used. fast: in a _fast call."""
    if flags & Foll.GET and flags & Foll.PIN and (fast or rules.pin_api is not PinApi.PLACEHOLDER):
        return -errno.EINVAL, "FOLL_GET and FOLL_PIN are mutually exclusive"
    if flags & Foll.PIN and rules.pin_api is PinApi.NONE:
        return -errno.EINVAL, "FOLL_PIN is unknown to this kernel"
    if flags & Foll.UNSHARE:
        return -errno.EINVAL, "FOLL_UNSHARE is internal"
    if flags & Foll.FAST_ONLY and not fast:
        return -errno.EINVAL, "FOLL_FAST_ONLY is internal"
    if flags & Foll.LONGTERM and rules.longterm_api is LongtermApi.PIN_ONLY and not flags & Foll.PIN:
        return -errno.EINVAL, "FOLL_LONGTERM requires FOLL_PIN"
    if fast and flags & Foll.FORCE and rules.fast_force is FastForce.REFUSED:
        return -errno.EINVAL, "FOLL_FORCE is no flag of get_user_pages_fast()"
    return 0, ""


def touches(call: GetUserPages, rules: KernelRules) -> bool:
    """FOLL_TOUCH: are pages marked accessed, and for writing dirty, when they are obtained?"""
    if call.inner:
        return not call.flags & Foll.LONGTERM or rules.fast_longterm_touch is FastLongtermTouch.TOUCH
    return call.remote or not call.flags & Foll.PIN or rules.pin_touch is PinTouch.TOUCH


ERESTARTSYS = 512
"""include/linux/errno.h; user space never sees it."""
