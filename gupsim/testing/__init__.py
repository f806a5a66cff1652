"""Tests of actor programs under every interleaving. Names load what they need on first use: pytest loads the plugin
of every package that is installed, used or not."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gupsim.testing.decorator import explore
    from gupsim.testing.failure import BodyError, InterleavingFailed, StaleToken, Undecided
    from gupsim.testing.search import Proof, prove
    from gupsim.testing.settings import Settings
    from gupsim.testing.stage import Script, Stage

__all__ = [
    "BodyError",
    "InterleavingFailed",
    "Proof",
    "Script",
    "Settings",
    "Stage",
    "StaleToken",
    "Undecided",
    "explore",
    "prove",
]

_HOMES = {
    "BodyError": "failure",
    "InterleavingFailed": "failure",
    "Proof": "search",
    "Script": "stage",
    "Settings": "settings",
    "Stage": "stage",
    "StaleToken": "failure",
    "Undecided": "failure",
    "prove": "search",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "explore":
        return import_module("gupsim.testing.decorator").explore
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
