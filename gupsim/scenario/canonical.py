"""One form for one scenario, however its file is laid out: what it is hashed by and stored in traces as."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import msgspec

from gupsim.protocol import steps, workload
from gupsim.scenario.model import Client, Scenario
from gupsim.scenario.reader import BESIDE_STEP


def file_form(scenario: Scenario) -> dict[str, Any]:
    """The scenario as its file would say it, with nothing that is there by default."""
    form: dict[str, Any] = _form(scenario)
    return form


def digest(scenario: Scenario) -> str:
    """SHA-256 of the canonical form: equal for equal scenarios, whatever their YAML looks like."""
    text = json.dumps(file_form(scenario), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _form(value: Any) -> Any:
    if isinstance(value, steps.Step):
        given = _given(value)
        beside = {name: given.pop(name) for name in BESIDE_STEP if name in given}
        return {steps.word(value): given, **beside}
    if isinstance(value, Client):
        given = _given(value)
        given.pop("work")
        return {workload.word(value.work): _given(value.work), **given}
    if isinstance(value, msgspec.Struct):
        return _given(value)
    if isinstance(value, dict):
        return {name: _form(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_form(item) for item in value]
    return value


@cache
def _fields_of(cls: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(cls)


def _given(value: msgspec.Struct) -> dict[str, Any]:
    """Fields that differ from their defaults, by their names in the file."""
    given = {}
    for field in _fields_of(type(value)):
        item = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        if default is msgspec.NODEFAULT or item != default or type(item) is not type(default):
            given[field.encode_name] = _form(item)
    return given
