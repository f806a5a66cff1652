"""Python's garbage collector, at a pace that suits a search."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PACE: Final = (50_000, 20, 50)
"""A world that is over goes by itself (`ExploredCore.scrap`), and next to nothing is left to the collector. At its
usual pace it looks again and again at what stays: a tenth of the time of a search."""


def collect_less() -> None:
    """For the rest of this process. What is there already stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*PACE)


@contextmanager
def less_collected() -> Iterator[None]:
    """While the block runs."""
    if gc.get_freeze_count():  # somebody has thought about it
        yield
        return
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*PACE)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
