"""Reads tracepoints and says what must not have happened. One module per kind of violation."""

from gupsim.checkers.checker import Checker
from gupsim.checkers.suite import ALL_CHECKERS, KINDS, Suite, check_events, check_file, relates
from gupsim.checkers.violation import Violation

__all__ = ["ALL_CHECKERS", "KINDS", "Checker", "Suite", "Violation", "check_events", "check_file", "relates"]
