"""Typed structs from the nodes of a file: unknown names, wrong types and wrong units, each with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import msgspec.inspect as shape

from gupsim.protocol.steps import STEPS, Step
from gupsim.protocol.steps import word as step_word
from gupsim.protocol.units import DURATION_PATTERN, duration, nanoseconds
from gupsim.protocol.workload import GENERATORS
from gupsim.protocol.workload import word as generator_word
from gupsim.scenario.errors import Path, ScenarioError, field_name, nearest, quote, unknown
from gupsim.scenario.model import MAX_TIME, Client, Scenario
from gupsim.scenario.nodes import Fields, Items, Node, Scalar
from gupsim.scenario.wording import said, unlike, wanted

STEP_WORDS: dict[str, type[msgspec.Struct]] = {step_word(cls): cls for cls in STEPS}
GENERATOR_WORDS: dict[str, type[msgspec.Struct]] = {generator_word(cls): cls for cls in GENERATORS}
BESIDE_STEP = ("label", "after", "until", "delay", "within")
"""Fields of a step that stand beside its word, not among its arguments."""
AS = "as"
"""Names what a step makes, as a mapping; where it makes nothing with a name it is another word for `label`, beside the
step or among its arguments."""
BESIDE_GENERATOR = ("name", "process", "host")

_WHOLE = re.compile(r"-?(0x[0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,18})")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Reader:
    """Reads one tree of nodes.

    lines: afterwards, the line of every field that the file gives, by its path.
    """

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}

    def scenario(self, node: Node) -> Scenario:
        """The whole file."""
        return self.struct(node, Scenario, ())  # type: ignore[no-any-return]

    def fail(self, problem: str, node: Node, path: Path) -> ScenarioError:
        return ScenarioError(problem, line=self.lines.get(path, node.line), field=field_name(path))

    def read(self, node: Node, kind: shape.Type, path: Path) -> Any:
        """The value of `node`, which must be of type `kind`."""
        self.lines.setdefault(path, node.line)
        if isinstance(kind, shape.Metadata):
            kind = kind.type
        if isinstance(kind, shape.StructType):
            if kind.cls is Client:
                return self.generator(node, path)
            return self.struct(node, kind.cls, path)
        if isinstance(kind, shape.DictType):
            return self.mapping(node, kind, path)
        if isinstance(kind, shape.VarTupleType):
            return self.items(node, kind, path)
        if isinstance(kind, shape.UnionType):
            return self.union(node, kind, path)
        return self.scalar(node, kind, path)

    def struct(self, node: Node, cls: type[msgspec.Struct], path: Path) -> Any:
        """A mapping with the fields of a struct."""
        if not isinstance(node, Fields):
            raise self.fail(f"fields are expected here, not {said(node)}", node, path)
        self.lines.setdefault(path, node.line)
        return cls(**self.values(node, _fields_of(cls), path))

    def values(self, node: Fields, fields: Mapping[str, shape.Field], path: Path) -> dict[str, Any]:
        """The values of the fields of a struct, by attribute name."""
        values = {}
        for name, (line, value) in node.fields.items():
            self.lines[*path, name] = line
            field = fields.get(name)
            if field is None:
                raise self.fail(unknown("field", name, fields), value, (*path, name))
            values[field.name] = self.read(value, field.type, (*path, name))
        for name, field in fields.items():
            if field.required and field.name not in values:
                raise self.fail(f"the field {name!r} is missing", node, path)
        return values

    def mapping(self, node: Node, kind: shape.DictType, path: Path) -> dict[str, Any]:
        if not isinstance(node, Fields):
            raise self.fail(f"names with their values are expected here, not {said(node)}", node, path)
        values = {}
        for name, (line, value) in node.fields.items():
            self.lines[*path, name] = line
            self.scalar(Scalar(name, "str", line), kind.key_type, (*path, name))
            values[name] = self.read(value, kind.value_type, (*path, name))
        return values

    def items(self, node: Node, kind: shape.VarTupleType, path: Path) -> tuple[Any, ...]:
        if not isinstance(node, Items) and _stands_alone(node, kind.item_type):
            # One word where a list of words is expected is a list of one: "after: cleaned".
            return (self.read(node, kind.item_type, path if isinstance(node, Scalar) else (*path, 0)),)
        if not isinstance(node, Items):
            raise self.fail(f"a list is expected here, not {said(node)}", node, path)
        if len(node.items) < (kind.min_length or 0):
            raise self.fail("the list is empty", node, path)
        return tuple(self.read(item, kind.item_type, (*path, index)) for index, item in enumerate(node.items))

    def union(self, node: Node, kind: shape.UnionType, path: Path) -> Any:
        members = [member for member in kind.types if not isinstance(member, shape.NoneType)]
        first = members[0]
        if isinstance(first, shape.StructType) and issubclass(first.cls, Step):
            return self.step(node, path)
        struct = next((member for member in members if isinstance(member, shape.StructType)), None)
        if isinstance(node, Fields) and struct is not None:
            return self.read(node, struct, path)
        members = [member for member in members if member is not struct]
        if isinstance(node, Scalar) and len(members) > 1:
            whole = isinstance(first, shape.IntType) and _WHOLE.fullmatch(node.text)
            return self.read(node, members[0 if whole else 1], path)
        return self.read(node, first, path)

    def step(self, node: Node, path: Path) -> Any:
        """``- mmap: {as: buf}`` with label, after, until, delay, within beside it, or the bare word ``- sync``."""
        word, arguments, rest = self.word(node, STEP_WORDS, (*BESIDE_STEP, AS), path)
        every = _fields_of(STEP_WORDS[word])
        own = {name: field for name, field in every.items() if name not in BESIDE_STEP}
        if AS not in own:
            arguments, rest = self.label_of(arguments, rest, (*path, word, AS))
        _, rest = self.label_of(rest, rest, (*path, AS))
        misplaced = next((name for name in arguments.fields if name in BESIDE_STEP), None)
        if misplaced:
            self.lines[*path, word, misplaced] = arguments.fields[misplaced][0]
            problem = f"{misplaced!r} stands beside {word!r}, not among its arguments"
            raise self.fail(problem, arguments, (*path, word, misplaced))
        beside = self.values(rest, {name: every[name] for name in BESIDE_STEP}, path)
        return STEP_WORDS[word](**self.values(arguments, own, (*path, word)), **beside)

    def label_of(self, fields: Fields, rest: Fields, path: Path) -> tuple[Fields, Fields]:
        """Both, with ``as: seen`` of `fields` as ``label: seen`` of `rest`. Nodes may be shared by aliases."""
        if AS not in fields.fields:
            return fields, rest
        line, value = fields.fields[AS]
        self.lines[path] = line
        if "label" in rest.fields:
            raise self.fail("a step has one name: 'as' or 'label'", value, path)
        left = {name: field for name, field in fields.fields.items() if name != AS}
        label = {"label": (line, value)}
        if fields is rest:
            both = _fields(rest.line, {**left, **label})
            return both, both
        return _fields(fields.line, left), _fields(rest.line, {**rest.fields, **label})

    def generator(self, node: Node, path: Path) -> Client:
        """``- memory_pressure: {every: 50us}`` with name, process, host beside it."""
        word, arguments, rest = self.word(node, GENERATOR_WORDS, BESIDE_GENERATOR, path)
        cls = GENERATOR_WORDS[word]
        work = cls(**self.values(arguments, _fields_of(cls), (*path, word)))
        every = _fields_of(Client)
        beside = self.values(rest, {name: every[name] for name in BESIDE_GENERATOR}, path)
        return Client(work=work, **beside)  # type: ignore[arg-type]

    def word(
        self, node: Node, words: Mapping[str, object], beside: tuple[str, ...], path: Path
    ) -> tuple[str, Fields, Fields]:
        """The one word of `words` in an item, its arguments, and the fields that stand beside it."""
        what = "step" if words is STEP_WORDS else "generator"
        example = f"as '- {next(iter(words))}: ...'"
        if isinstance(node, Scalar) and node.tag != "null":
            node = _bare(node)
        if not isinstance(node, Fields):
            raise self.fail(f"a {what} is expected here, {example}, not {said(node)}", node, path)
        names = [name for name in node.fields if name not in beside]
        for name in names:
            if name not in words:
                self.lines[*path, name] = node.fields[name][0]
                # Beside a word, a mistyped "lable" is more likely than a second word.
                field = len(names) > 1 and nearest(name, beside)
                problem = unknown("field", name, beside) if field else unknown(what, name, words)
                raise self.fail(problem, node, (*path, name))
        if len(names) != 1:
            problem = (
                f"two {what}s in one item: {' and '.join(names)}" if names else f"which {what}? Its word is missing"
            )
            raise self.fail(f"{problem}; each {what} is an item of its own, {example}", node, path)
        word = names[0]
        line, arguments = node.fields[word]
        self.lines[*path, word] = line
        if isinstance(arguments, Scalar) and arguments.tag == "null":
            arguments = Fields(line)
        if not isinstance(arguments, Fields):
            problem = f"the arguments of {word!r} are fields, as '{word}: {{name: value}}', not {said(arguments)}"
            raise self.fail(problem, arguments, (*path, word))
        rest = _fields(node.line, {name: value for name, value in node.fields.items() if name != word})
        return word, arguments, rest

    def scalar(self, node: Node, kind: shape.Type, path: Path) -> Any:
        """One word or number, taken for what the field wants: text needs no quotes."""
        if isinstance(kind, shape.Metadata):
            kind = kind.type
        if not isinstance(node, Scalar):
            raise self.fail(f"{wanted(kind)} is expected here, not {said(node)}", node, path)
        text = node.text
        if node.tag == "null":
            raise self.fail(f"{wanted(kind)} is expected here, and nothing is given", node, path)
        if isinstance(kind, shape.BoolType):
            if text.lower() not in _TRUTH or node.tag != "bool":
                raise self.fail(f"true or false is expected here, not {quote(text)}", node, path)
            return _TRUTH[text.lower()]
        if isinstance(kind, shape.IntType):
            return self.whole(node, kind, path)
        if isinstance(kind, shape.LiteralType):
            if isinstance(kind.values[0], int):
                return self.choice(node, kind, path)
            if text not in kind.values:
                what = str(path[-1]) if isinstance(path[-1], str) else str(path[-2])
                raise self.fail(unknown(f"value of {what!r}", text, map(str, kind.values)), node, path)
            return text
        if isinstance(kind, shape.StrType):
            return self.text(node, kind, path)
        raise TypeError(f"{field_name(path)}: no reader for {kind}")

    def whole(self, node: Scalar, kind: shape.IntType, path: Path) -> int:
        if not _WHOLE.fullmatch(node.text):
            raise self.fail(f"{wanted(kind)} is expected here, not {quote(node.text)}", node, path)
        value = int(node.text, 0)
        if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
            raise self.fail(f"{node.text} is out of range: {wanted(kind)} is expected", node, path)
        return value

    def choice(self, node: Scalar, kind: shape.LiteralType, path: Path) -> int:
        value = int(node.text, 0) if _WHOLE.fullmatch(node.text) else None
        if value not in kind.values:
            valid = ", ".join(map(str, kind.values))
            raise self.fail(f"{quote(node.text)} is not possible here (valid: {valid})", node, path)
        return value  # type: ignore[return-value]

    def text(self, node: Scalar, kind: shape.StrType, path: Path) -> str:
        text = node.text
        if kind.pattern is not None and not re.search(kind.pattern, text):
            raise self.fail(unlike(text, kind), node, path)
        if kind.pattern == DURATION_PATTERN and nanoseconds(text) > MAX_TIME:
            raise self.fail(f"{text} is too long: at most {duration(MAX_TIME)}", node, path)
        if kind.max_length is not None and len(text) > kind.max_length:
            raise self.fail(f"longer than {kind.max_length} characters", node, path)
        if kind.min_length is not None and len(text) < kind.min_length:
            raise self.fail("must not be empty", node, path)
        return text


@cache  # looking through the types of a struct takes far longer than reading a file
def _fields_of(cls: type[msgspec.Struct]) -> dict[str, shape.Field]:
    info = shape.type_info(cls)
    assert isinstance(info, shape.StructType)
    return {field.encode_name: field for field in info.fields}


def _stands_alone(node: Scalar | Fields, kind: shape.Type) -> bool:
    """May one item stand for a list of one? A word, and where words and fields are expected the fields, too."""
    if not isinstance(kind, shape.UnionType):
        return isinstance(node, Scalar) and node.tag != "null"
    words = any(not isinstance(member, shape.StructType) for member in kind.types)
    return words and (isinstance(node, Fields) or node.tag != "null")


def _fields(line: int, fields: dict[str, tuple[int, Node]]) -> Fields:
    made = Fields(line)
    made.fields = fields
    return made


def _bare(node: Scalar) -> Fields:
    return _fields(node.line, {node.text: (node.line, Fields(node.line))})
