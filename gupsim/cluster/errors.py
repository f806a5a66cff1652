"""What can go wrong when a run is spread over nodes; each names the node and says what to do."""

from __future__ import annotations

from gupsim.engine.errors import EngineError


class ClusterError(Exception):
    """Base of all of them. The message is for a person."""

    kind = "refused"


class ConfigError(ClusterError):
    """A cluster file, placement rule, address or secret that cannot be used."""


class Divergence(ClusterError):
    """Two nodes, or a node and its own journal, disagree about the history: a nondeterministic actor or a bug."""

    kind = "divergence"


class TooFast(ClusterError, EngineError):
    """A message between nodes is due within the window: the lookahead was wrong."""

    kind = "divergence"


class JournalError(ClusterError):
    """A journal that cannot be written or read."""

    kind = "journal"


class PeerLost(ClusterError):
    """A node did not come back in time."""

    kind = "peer"


class Refusal(ClusterError):
    """A connection that is not let in. status: of the HTTP answer."""

    def __init__(self, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.status = status


class NodeFailed(ClusterError):
    """A node reported that it cannot go on."""
