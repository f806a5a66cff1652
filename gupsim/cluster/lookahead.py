"""How far nodes may run ahead of each other: the least time that a message between two of them takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gupsim.cluster.errors import ConfigError
from gupsim.engine.links import Links, LinkSpeed
from gupsim.protocol.address import host_of, local_name

UNBOUNDED: Final = 1 << 62
"""ns, when no two actors on different nodes ever talk: one window is the whole run."""

MayTalk = Callable[[str, str], bool]
"""True if two actors may ever send to each other."""


def anybody(_one: str, _other: str) -> bool:
    """All actors may talk to all."""
    return True


class Hosts:
    """In a world of hosts an actor talks to its own host, to the world-wide actors, and `fabric` talks to `fabric`.

    A property of the pair, not of the placement: who breaks it gets an error at the sending, not another history.

    everywhere: addresses of the world-wide actors that this scenario uses.
    """

    def __init__(self, everywhere: Sequence[str] = ()) -> None:
        self._everywhere = frozenset(everywhere)

    def __call__(self, one: str, other: str) -> bool:
        return (
            host_of(one) == host_of(other)
            or one in self._everywhere
            or other in self._everywhere
            or local_name(one) == local_name(other) == "fabric"
        )


def least_latency(
    addresses: Sequence[str], node_of: Callable[[str], int], speeds: Sequence[LinkSpeed], may_talk: MayTalk = anybody
) -> int:
    """The least base latency (ns) of all links between nodes; UNBOUNDED if there is none.

    ConfigError if it is zero: such a world cannot be cut.
    """
    links = Links(0, speeds)
    base: dict[tuple[str, str], int] = {}
    places = [(address, node_of(address), local_name(address)) for address in addresses]
    least = UNBOUNDED
    for source, here, source_name in places:
        for sink, there, sink_name in places:
            if here == there:
                continue
            pair = (source_name, sink_name)
            latency = base.get(pair)
            if latency is None:
                base[pair] = latency = links.speed(source, sink).base
            if latency < least and may_talk(source, sink):
                least = latency
    if least <= 0:
        raise ConfigError("a link between two nodes takes no time: place its two ends on one node")
    return least
