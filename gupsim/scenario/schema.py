"""The schema of scenario files as JSON Schema, made from the same types that the loader reads with."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

import msgspec

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES
from gupsim.scenario.choices import RULES
from gupsim.scenario.model import Client, Scenario
from gupsim.scenario.reader import AS, BESIDE_GENERATOR, BESIDE_STEP, GENERATOR_WORDS, STEP_WORDS
from gupsim.scenario.references import METRICS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"

JsonObject = dict[str, Any]


def scenario_schema() -> JsonObject:
    """JSON Schema of a scenario file, for editors and for tests."""
    kinds = (Scenario, Client, *STEP_WORDS.values(), *GENERATOR_WORDS.values())
    _, defs = msgspec.json.schema_components(kinds, ref_template=_REF)
    beside_step = _take(defs["Sync"], BESIDE_STEP)
    beside_step[AS] = beside_step["label"]
    for cls in STEP_WORDS.values():
        definition = defs[_name(defs, cls)]
        _take(definition, (*BESIDE_STEP, "op"))
        definition["properties"].setdefault(AS, beside_step["label"])
    for cls in GENERATOR_WORDS.values():
        _take(defs[_name(defs, cls)], ("kind",))
    beside_generator = _take(defs["Client"], BESIDE_GENERATOR)
    del defs["Client"]
    defs["Step"] = _item("step", STEP_WORDS, beside_step, defs)
    defs["Generator"] = _item("generator", GENERATOR_WORDS, beside_generator, defs)
    defs["Thread"]["properties"]["steps"]["items"] = {"$ref": "#/$defs/Step"}
    defs["Workload"]["properties"]["generators"]["items"] = {"$ref": "#/$defs/Generator"}
    _name_choices(defs["Scenario"]["properties"])
    root = defs.pop("Scenario")
    schema = {
        "$schema": DIALECT,
        "title": "gupsim scenario",
        "description": root.pop("description", ""),
        **{key: value for key, value in root.items() if key != "title"},
        "$defs": {name: defs[name] for name in sorted(defs)},
    }
    _one_or_list(schema, set())
    # As it will be read again: defaults that are tuples here are lists there.
    plain: JsonObject = json.loads(json.dumps(schema))
    return plain


def _name(defs: JsonObject, cls: type[msgspec.Struct]) -> str:
    """The key of a struct in `defs`: two classes of one name have their modules in it."""
    return cls.__name__ if cls.__name__ in defs else f"{cls.__module__}.{cls.__qualname__}"


def _take(definition: JsonObject, names: tuple[str, ...]) -> JsonObject:
    """Remove fields from the definition of a struct and return them."""
    if "required" in definition:
        definition["required"] = [name for name in definition["required"] if name not in names]
    return {name: definition["properties"].pop(name) for name in names if name in definition["properties"]}


def _item(what: str, words: dict[str, type[msgspec.Struct]], beside: JsonObject, defs: JsonObject) -> JsonObject:
    """An item of a list: its word with the arguments, and the fields beside it."""
    forms: list[JsonObject] = []
    bare = []
    for word, cls in words.items():
        name = _name(defs, cls)
        arguments: JsonObject = {"$ref": f"#/$defs/{name}"}
        if not defs[name].get("required"):
            bare.append(word)
            arguments = {"anyOf": [arguments, {"type": "null"}]}
        forms.append(
            {
                "type": "object",
                "title": word,
                "description": defs[name].get("description", ""),
                "properties": {word: arguments, **beside},
                "required": [word],
                "additionalProperties": False,
            }
        )
    if bare:
        forms.append({"title": f"{what} without arguments", "enum": bare})
    return {"title": what, "anyOf": forms}


def _name_choices(fields: JsonObject) -> None:
    """Eras, platforms, policies, rules with their values, and metrics by name, so that an editor can complete them."""
    eras = [name for era in ERAS for name in (era, era.removeprefix("v"))]
    fields["kernel"] = {"enum": eras, "default": fields["kernel"].get("default")}
    fields["platform"] = {"enum": list(PLATFORMS), "default": fields["platform"].get("default")}
    fields["metrics"]["items"] = {"enum": list(METRICS)}
    fields["policies"]["items"] = {"enum": list(POLICIES)}
    fields["rules"] = {
        "type": "object",
        "properties": {
            rule: {
                "description": (values.__doc__ or "").strip(),
                "enum": [str(value.value) for value in values],
            }
            for rule, values in RULES.items()
        },
        "additionalProperties": False,
        "default": {},
    }


def _one_or_list(schema: Any, seen: set[int]) -> None:
    """Where a list of words is expected, one word will do. Definitions are shared, so each is changed once."""
    if id(schema) in seen or not isinstance(schema, (dict, list)):
        return
    seen.add(id(schema))
    for value in schema.values() if isinstance(schema, dict) else schema:
        _one_or_list(value, seen)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("description"), str):
        schema["description"] = inspect.cleandoc(schema["description"])
    items = schema.get("items")
    if schema.get("type") == "array" and isinstance(items, dict) and "$ref" not in items:
        outer = {key: schema.pop(key) for key in ("default", "description") if key in schema}
        whole = dict(schema)
        seen.add(id(whole))
        schema.clear()
        schema.update({**outer, "anyOf": [items, whole]})
