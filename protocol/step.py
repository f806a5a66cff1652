"""What all steps of a scenario have in common, and the types of their arguments."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from gupsim.protocol.units import Duration

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,39}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
Gate = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*(:[a-z_]+)?(#[0-9]+)?$", max_length=60)]


def word_of(name: str) -> str:
    """ "dma_write" for "DmaWrite"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Step(msgspec.Struct, frozen=True, tag=word_of, tag_field="op", forbid_unknown_fields=True, kw_only=True):
    """What every step has.

    label: names the end of this step, for `after` and `until` of others.
    after: start only when these have been seen: labels, or tracepoints as "block:checksum" ("#2": the second time).
    until: end only when these have been seen; a DMA step holds back its last chunk, others wait when done.
    delay: let this much virtual time pass first.
    within: a step that is not over so long after its beginning starves; "0ns" for no bound.
    `after`, `until` and `delay` script a timed run; a search ignores them and lets the threads race.
    """

    label: Name = ""
    after: tuple[Gate, ...] = ()
    until: tuple[Gate, ...] = ()
    delay: Duration = "0ns"
    within: Duration = "0ns"
