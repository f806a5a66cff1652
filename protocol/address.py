"""Hierarchical addresses: ``host/kind`` or ``host/kind/name``, as ``h0/mm`` or ``h0/cpu/1``."""

from __future__ import annotations

import re

MAX_ADDRESS = 120
_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*){0,3}")


class AddressError(ValueError):
    """The text is not an address."""


def check_address(text: str) -> str:
    """Return `text` if it is a well-formed address, else raise AddressError saying what is wrong."""
    if len(text) > MAX_ADDRESS:
        raise AddressError(f"address of {len(text)} characters: at most {MAX_ADDRESS} are allowed")
    if not _PATTERN.fullmatch(text):
        raise AddressError(f"{text!r} is not an address: expected parts of [a-z0-9_.-] separated by '/', as h0/cpu/1")
    return text


def host_of(address: str) -> str:
    """``h0/cpu/1`` lives on host ``h0``."""
    return address.partition("/")[0]


def local_name(address: str) -> str:
    """The address without its host: ``cpu/1``."""
    return address.partition("/")[2]
