"""A search that was stopped, in a file from which it goes on."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from gupsim.explore.conduct import DrawnSearch, TreeSearch
from gupsim.explore.errors import ExploreError
from gupsim.explore.tally import Tally
from gupsim.explore.tree import DONE, Branch, graft
from gupsim.explore.wire import Packer, Tables, TreeNode, Unpacker
from gupsim.whole import write_whole

FORMAT: Final = "gupsim-search"
VERSION: Final = 2
SUFFIX: Final = ".search"
MAX_BYTES: Final = 1 << 30


class StoredTree(msgspec.Struct, array_like=True, frozen=True):
    """What is left of a tree. whole: a bit for each node."""

    tables: Tables
    nodes: list[TreeNode]
    whole: list[bool]
    traces: bytes


class StoredGoal(msgspec.Struct, array_like=True, frozen=True):
    """A kernel to search under, and what came of it if its search has begun. replays: files written so far, by kind.
    tree, drawn: what is left of a search that decided nothing yet."""

    era: str
    policies: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    rules: dict[str, str]
    reachable: tuple[str, ...]
    unreachable: tuple[str, ...]
    tally: Tally | None = None
    replays: dict[str, str] = {}
    tree: StoredTree | None = None
    drawn: int = 0
    platform: str = "x86"
    reason: str = ""


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """What is in a file. content: a State; digest: its SHA-256, because a search would trust whatever it says."""

    format: str
    version: int
    gupsim: str
    digest: bytes
    content: bytes


class State(msgspec.Struct, array_like=True, frozen=True):
    """file, digest, form: the scenario. goals: all of them."""

    file: str
    digest: str
    form: str
    strategy: str
    seed: int
    keep_going: bool
    goals: list[StoredGoal]
    states: bool = False


def save(state: State, path: Path) -> None:
    """Write the file, whole or not at all; ExploreError if that fails."""
    content = msgspec.msgpack.encode(state, order="deterministic")
    envelope = Envelope(FORMAT, VERSION, version("gupsim"), hashlib.sha256(content).digest(), content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.msgpack.encode(envelope))
    except OSError as error:
        raise ExploreError(f"{path}: cannot be written: {error.strerror or error}") from None


def load(path: Path) -> State:
    """Read the file; ExploreError for everything that can be wrong with it."""
    try:
        if not path.is_file():
            raise ExploreError(f"{path}: {'is not a plain file' if path.exists() else 'there is no such file'}")
        if path.stat().st_size > MAX_BYTES:
            raise ExploreError(f"{path}: is too large for a stopped search")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ExploreError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        head: Any = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        head = None
    if not isinstance(head, list) or len(head) < 3 or head[0] != FORMAT:
        raise ExploreError(f"{path}: is not a stopped search of gupsim")
    if head[1] != VERSION or head[2] != version("gupsim"):
        raise ExploreError(
            f"{path}: was written by gupsim {head[2]} (format {head[1]}); the events of this one, {version('gupsim')},"
            " may be others: search again"
        )
    try:
        envelope = msgspec.msgpack.decode(data, type=Envelope)
        if hashlib.sha256(envelope.content).digest() != envelope.digest:
            raise ExploreError(f"{path}: is damaged, or was changed")
        return msgspec.msgpack.decode(envelope.content, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ExploreError(f"{path}: is damaged: {error}") from None


def stored(search: TreeSearch) -> StoredTree:
    """What a search needs to go on."""
    packer = Packer(search.tree.names, search.tree.objects)
    nodes: list[TreeNode] = []
    whole: list[bool] = []
    stack = [search.tree.root]
    while stack:
        node = stack.pop()
        done = node.state == DONE
        nodes.append(TreeNode(packer.name(node.mid), packer.access(node.access), len(node.children), done))
        whole.append(node.whole)
        stack += reversed(node.children)
    return StoredTree(packer.tables, nodes, whole, b"".join(sorted(search.traces)))


def restore(search: TreeSearch, tree: StoredTree, tally: Tally) -> None:
    """Let a fresh search go on where another one stopped; ExploreError if what is stored makes no sense."""
    try:
        tables = Unpacker(tree.tables, search.tree.names, search.tree.objects)
        graft(search.tree.root, tree.nodes, tables)
        flags = iter(tree.whole)
        stack: list[Branch] = [search.tree.root]
        while stack:
            node = stack.pop()
            node.whole = next(flags)
            stack += reversed(node.children)
        if tree.nodes[0].done:
            search.tree.root.state = DONE
    except (IndexError, StopIteration, KeyError, TypeError):
        raise ExploreError("the stopped search is damaged: its tree does not fit together") from None
    search.traces = {tree.traces[start : start + 8] for start in range(0, len(tree.traces), 8)}
    search.tally = tally


def go_on_drawing(search: DrawnSearch, drawn: int, tally: Tally) -> None:
    """The same for a random strategy."""
    search.drawn = drawn
    search.tally = tally
