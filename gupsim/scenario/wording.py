"""How the messages about a file say what was found and what is expected."""

from __future__ import annotations

import re
from typing import get_type_hints

import msgspec.inspect as shape

from gupsim.protocol import steps, workload
from gupsim.protocol.units import DURATION_PATTERN
from gupsim.scenario.errors import nearest, quote
from gupsim.scenario.model import SIZE_PATTERN, Latency, Source, Thread
from gupsim.scenario.nodes import Fields, Items, Node


def _pattern(kind: object) -> str:
    """The pattern of an annotated text type, or of its item type."""
    info = shape.type_info(kind)
    if isinstance(info, shape.Metadata):
        info = info.type
    if isinstance(info, shape.VarTupleType):
        info = info.item_type
    pattern = getattr(info, "pattern", None)
    assert isinstance(pattern, str), kind
    return pattern


_TIME = "a time: a number with its unit, one of ns, us, ms, s, as '10us'"
_PATTERNS: dict[str, str] = {
    DURATION_PATTERN: _TIME,
    SIZE_PATTERN: "a size: a whole number with its unit, one of KiB, MiB, GiB, as '64MiB'",
    _pattern(workload.Times): _TIME + ", or two of them, as '20us..80us'",
    _pattern(workload.PageRange): "a number of pages, or a range, as '1..4'",
    _pattern(steps.Name): "a name: letters, digits, '_', '.', '-', first a letter, at most 40",
    _pattern(steps.Gate): "a label or a tracepoint, as 'cleaned', 'block:checksum' or 'block:checksum#2'",
    _pattern(get_type_hints(Thread, include_extras=True)["host"]): (
        "a name: lower-case letters, digits, '_', '.', '-', first a letter, at most 40"
    ),
    _pattern(get_type_hints(Source, include_extras=True)["cve"]): "a CVE number, as 'CVE-2019-11487'",
    _pattern(get_type_hints(Latency, include_extras=True)["source"]): (
        "a pattern of actor names, as 'cpu/*' or 'block/sda'"
    ),
}
_UNITS = {DURATION_PATTERN: ("ns", "us", "ms", "s"), SIZE_PATTERN: ("KiB", "MiB", "GiB")}


def wanted(kind: shape.Type) -> str:
    """What a field wants: "a whole number from 0 to 255"."""
    if isinstance(kind, shape.IntType):
        if kind.ge is not None and kind.le is not None:
            return f"a whole number from {kind.ge} to {kind.le}"
        return "a whole number"
    if isinstance(kind, shape.BoolType):
        return "true or false"
    if isinstance(kind, shape.LiteralType):
        return f"one of {', '.join(map(str, kind.values))}"
    if isinstance(kind, shape.StrType) and kind.pattern is not None:
        return _PATTERNS.get(kind.pattern, "a text")
    return "a text"


def unlike(text: str, kind: shape.StrType) -> str:
    """Why `text` is not what the pattern of `kind` wants, with the nearest unit if that is the reason."""
    said = f"{quote(text)} is not {wanted(kind)}"
    units = _UNITS.get(kind.pattern or "")
    number = re.match(r"[0-9]+(\.[0-9]+)?", text)
    if units and number:
        unit = text[number.end() :].strip(" _")
        close = nearest(unit, units) or next((known for known in units if known[0].lower() == unit[:1].lower()), "")
        if close:
            said += f"; did you mean '{number[0]}{close}'?"
    return said


def said(node: Node) -> str:
    """What stands in the file instead."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Fields):
        return "fields"
    return "nothing" if node.tag == "null" else f"the text {quote(node.text)}"
