"""Coroutines that were made and never awaited, as Python itself notices them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MESSAGE = "coroutine .* was never awaited"


@contextmanager
def unawaited() -> Iterator[list[str]]:
    """While the block runs, collect what Python says about coroutines that nobody awaited; other warnings go on."""
    found: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning
        warnings.filterwarnings("always", _MESSAGE, RuntimeWarning)

        def collect(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is RuntimeWarning and str(message).endswith("was never awaited"):
                found.append(str(message))
            else:
                show(message, category, *place, **more)

        warnings.showwarning = collect
        yield found
