"""The type of all rule values."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class RuleValue(StrEnum):
    """One value of a rule. `says` is its consequence, for `gupsim rules`."""

    says: str

    def __new__(cls, value: str, says: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.says = says
        return member
