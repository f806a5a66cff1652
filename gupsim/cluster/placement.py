"""Which node an actor lives on. It has no influence on the history, only on how fast it is computed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final
from zlib import crc32

import msgspec

from gupsim.cluster.errors import ConfigError
from gupsim.protocol.address import host_of
from gupsim.scenario.errors import quote

HOSTS: Final = "hosts"
SPREAD: Final = "spread"
LAYOUTS: Final = (HOSTS, SPREAD)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actors whose address matches a shell pattern ("h3/*", "*/mm", "h[0-7]/*") live on this node (its name)."""

    actors: str
    node: str


class Placement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """nodes: names of the nodes. rules: the first that matches counts. layout: for all other actors: "hosts" keeps
    each host together, in blocks of neighbouring hosts; "spread" scatters single actors. hosts: how many there are."""

    nodes: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    layout: str = HOSTS
    hosts: int = 1

    def node_of(self, address: str) -> int:
        """Index of the actor's node."""
        for rule in self.rules:
            if fnmatchcase(address, rule.actors):
                return self.nodes.index(rule.node)
        count = len(self.nodes)
        number = re.fullmatch(r"h([0-9]+)", host_of(address))
        if self.layout == SPREAD or number is None:
            return crc32(address.encode()) % count
        return min(int(number[1]) * count // max(self.hosts, 1), count - 1)


def placement(nodes: Sequence[str], *, rules: Sequence[str | Rule] = (), layout: str = "", hosts: int = 1) -> Placement:
    """A checked placement. rules: "PATTERN=NODE", or Rules. ConfigError for a node or layout that does not exist."""
    chosen = layout or (HOSTS if hosts >= len(nodes) else SPREAD)
    if chosen not in LAYOUTS:
        raise ConfigError(f"layout {quote(chosen)}: there are {', '.join(LAYOUTS)}")
    parsed = tuple(_parse(rule) if isinstance(rule, str) else rule for rule in rules)
    for rule in parsed:
        if rule.node not in nodes:
            raise ConfigError(
                f"placement of {quote(rule.actors)}: no node {quote(rule.node)}; there are {_list(nodes)}"
            )
    bad = next((name for name in nodes if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name)), None)
    if bad is not None:
        raise ConfigError(
            f"{quote(bad)} is no name for a node: expected lower-case letters, digits, '_' and '-', as n0"
        )
    doubled = sorted({name for name in nodes if list(nodes).count(name) > 1})
    if doubled:
        raise ConfigError(f"two nodes are called {quote(doubled[0])}")
    return Placement(tuple(nodes), parsed, chosen, hosts)


def _parse(text: str) -> Rule:
    pattern, equals, node = text.rpartition("=")
    if not equals or not pattern or not node:
        raise ConfigError(f"placement {quote(text)}: expected PATTERN=NODE, as 'h[0-7]/*=n0'")
    return Rule(pattern, node)


def _list(nodes: Sequence[str]) -> str:
    return ", ".join(nodes)
