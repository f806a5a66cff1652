"""What can be wrong with cases and recordings, and what the model cannot do."""

from __future__ import annotations


class ConformanceError(ValueError):
    """Input that cannot be used, as ``FILE: case ID: step N (op): what is wrong``."""


class Unsupported(Exception):
    """No actor carries a part of a case. why: which part."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)
