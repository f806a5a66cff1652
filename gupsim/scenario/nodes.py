"""YAML text as a tree of nodes that know their lines, read with limits on everything that grows."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import yaml

from gupsim.scenario.errors import ScenarioError, quote

MAX_DEPTH: Final = 20
MAX_NODES: Final = 100_000
"""Values in one file, counting those behind an alias each time that the alias stands for them."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()


class Scalar:
    """One word or number. text: as written; tag: what YAML takes it for, as "int", "str", "null"."""

    __slots__ = ("line", "tag", "text")
    size = 1

    def __init__(self, text: str, tag: str, line: int) -> None:
        self.text, self.tag, self.line = text, tag, line


class Items:
    """A list."""

    __slots__ = ("items", "line", "size")

    def __init__(self, line: int) -> None:
        self.line = line
        self.items: list[Node] = []
        self.size = 1


class Fields:
    """A mapping: key text to (line of the key, value)."""

    __slots__ = ("fields", "line", "size")

    def __init__(self, line: int) -> None:
        self.line = line
        self.fields: dict[str, tuple[int, Node]] = {}
        self.size = 1


Node: TypeAlias = Scalar | Items | Fields


def parse(text: str) -> Node:
    """The one document in `text`. ScenarioError with the line for everything else."""
    try:
        return _Builder().build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and (deep := _too_deep(text, mark.index)):
            # The scanner looks ahead: it may give up, in words of its own, before we see how deep it is.
            raise ScenarioError(f"nested deeper than {MAX_DEPTH} levels", line=deep) from None
        problem = " ".join(part for part in (error.problem, error.context) if part)
        raise ScenarioError(f"not YAML: {problem}", line=mark.line + 1 if mark else 0) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ScenarioError(f"not YAML: character {error.character!r} is not allowed", line=line) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError(f"not YAML: {error}") from None


def _too_deep(text: str, end: int) -> int:
    """The line in which more brackets are open than a file may nest, 0 if there is none before character `end`."""
    depth = 0
    for place, character in enumerate(text[:end]):
        depth += (character in "[{") - (character in "]}")
        if depth > MAX_DEPTH:
            return text.count("\n", 0, place) + 1
    return 0


class _Builder:
    """Builds the tree from the event stream: no recursion, so that no nesting can exhaust the stack."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.open: list[Items | Fields] = []
        self.keys: list[tuple[str, int] | None] = []
        self.anchors: dict[str, Node] = {}
        self.made = 0

    def build(self, text: str) -> Node:
        documents = 0
        events: Any = yaml.parse(text, Loader=_PARSER)
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise ScenarioError("a second document starts here; a scenario file holds one", line=line)
            elif isinstance(event, yaml.AliasEvent):
                self.place(self.behind(str(event.anchor), line), line)
            elif isinstance(event, yaml.ScalarEvent):
                self.scalar(event, line)
            elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                self.begin(event, line)
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                self.end()
        if self.root is None:
            raise ScenarioError("the file is empty; a scenario needs at least a title and threads")
        return self.root

    def behind(self, anchor: str, line: int) -> Node:
        node = self.anchors.get(anchor)
        if node is None:
            raise ScenarioError(f"alias *{anchor} stands for nothing: no anchor &{anchor} comes before it", line=line)
        if any(node is container for container in self.open):
            raise ScenarioError(f"alias *{anchor} stands inside its own anchor", line=line)
        return node

    def scalar(self, event: Any, line: int) -> None:
        if event.tag is not None and event.tag != "!":
            raise ScenarioError(f"tag {quote(event.tag)} is not allowed; scenario files need no tags", line=line)
        tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = Scalar(event.value, str(tag).rpartition(":")[2], line)
        if event.anchor:
            self.anchors[event.anchor] = node
        self.place(node, line)

    def begin(self, event: Any, line: int) -> None:
        if event.tag is not None:
            raise ScenarioError(f"tag {quote(event.tag)} is not allowed; scenario files need no tags", line=line)
        if len(self.open) >= MAX_DEPTH:
            raise ScenarioError(f"nested deeper than {MAX_DEPTH} levels", line=line)
        node: Items | Fields = Items(line) if isinstance(event, yaml.SequenceStartEvent) else Fields(line)
        if self.open and isinstance(self.open[-1], Fields) and self.keys[-1] is None:
            raise ScenarioError("a list or mapping cannot be the name of a field", line=line)
        if event.anchor:
            self.anchors[event.anchor] = node
        self.open.append(node)
        self.keys.append(None)

    def end(self) -> None:
        node = self.open.pop()
        self.keys.pop()
        self.place(node, node.line)

    def place(self, node: Node, line: int) -> None:
        """Put a finished node where it belongs."""
        self.made += 1
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, Items):
            parent.items.append(node)
        else:
            key = self.keys[-1]
            if key is None:
                self.keys[-1] = self.key(parent, node, line)
                return
            parent.fields[key[0]] = (key[1], node)
            self.keys[-1] = None
        parent.size += node.size
        if parent.size > MAX_NODES or self.made > MAX_NODES:
            raise ScenarioError(f"too large: more than {MAX_NODES} values once its aliases are written out", line=line)

    @staticmethod
    def key(parent: Fields, node: Node, line: int) -> tuple[str, int]:
        if not isinstance(node, Scalar):
            raise ScenarioError("a list or mapping cannot be the name of a field", line=line)
        if node.text in parent.fields:
            first = parent.fields[node.text][0]
            raise ScenarioError(f"field {quote(node.text)} stands here twice, first in line {first}", line=line)
        return node.text, line
