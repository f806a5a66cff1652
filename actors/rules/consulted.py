"""Which rules a kernel was asked for: a policy that nobody asks proves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from gupsim.actors.rules.files import OdirectCall
from gupsim.actors.rules.pins import DriverCall, PinApi
from gupsim.actors.rules.rules import KernelRules

ABOUT_PINS: Final = frozenset(
    ("writeback_pinned", "reclaim_pinned_file", "reclaim_pinned_anon", "unmap_pinned_anon", "fork_pinned")
)
"""Rules about pages that may be pinned."""

DECIDED_LATER: Final = ABOUT_PINS | {"pin_under_writeback"}
"""Rules that are looked at for every page, to save the question whether it is one that they are about. They decide
something only when the answer is yes, and whoever asks says so (`decide`)."""

_COUNTS: Final = (PinApi.BIAS, PinApi.BIAS_ONLY, PinApi.BIAS_ALL_LARGE)


class Consulted:
    """The rules of one kernel, each noted when it is first read. It stands in for `KernelRules` wherever actors read.

    rules: the rules themselves. decided_rules: those that decided something so far.
    """

    def __init__(self, rules: KernelRules) -> None:
        self.__dict__["rules"] = rules
        self.__dict__["_decisive"] = set()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.rules, name)
        self.__dict__[name] = value  # from now on it is found without coming here
        return value

    def decide(self, rule: str) -> None:
        """A rule about pins has its say: the page may be pinned."""
        self._decisive.add(rule)

    @property
    def decided_rules(self) -> frozenset[str]:
        read = {name for name in self.__dict__ if name in KernelRules.__struct_fields__}
        return frozenset((read - DECIDED_LATER) | self._decisive)


def consulted(rules: KernelRules) -> KernelRules:
    """The same rules, noted when they are read."""
    return cast("KernelRules", Consulted(rules))


def pins_that_count(rules: KernelRules, asked: Iterable[str]) -> dict[str, str]:
    """What keeps rules about pins from ever deciding anything: rules with the values that they would need; {} if
    nothing does, or if other rules are asked for."""
    if not set(asked) <= ABOUT_PINS:
        return {}
    missing: dict[str, str] = {}
    if rules.pin_api not in _COUNTS:
        missing["pin_api"] = str(PinApi.BIAS.value)
    if rules.driver_call is DriverCall.GET and rules.odirect_call is OdirectCall.GET:
        missing["driver_call"] = str(DriverCall.PIN.value)
    return missing
