"""What a node tells about itself: JSON for people, Prometheus' text for machines."""

from __future__ import annotations

from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gupsim.cluster.node_run import NodeRun

CONTENT_TYPE: Final = "text/plain"


def status_of(name: str, run: NodeRun | None, refused: int) -> dict[str, Any]:
    """The object of /status."""
    told: dict[str, Any] = {"node": name, "phase": "idle", "refused": refused}
    if run is None:
        return told
    told |= {"node": run.name, "run": run.begin.run, "phase": run.phase, "replayed_rounds": run.replayed}
    rounds = run.rounds
    if rounds is not None:
        told |= {
            "round": rounds.round,
            "windows": rounds.windows,
            "events": rounds.world.events,
            "time_ns": rounds.world.now,
            "actors": rounds.world.homes.count(rounds.world.me),
            "waits_for": run.mesh.missing() if run.phase == "running" else [],
        }
    told |= {
        "waited_seconds": round(run.mesh.waited, 3),
        "coordinator_attached": run.outlet.attached,
        "unconfirmed_bytes": run.outlet.size,
        "peers": [
            {
                "node": link.at.name,
                "connected": link.ws is not None,
                "connections": link.connections,
                "has_round": link.have,
                "duplicates": link.duplicates,
            }
            for link in run.mesh.links.values()
        ],
    }
    return told


class _Numbers(Collector):
    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told

    def collect(self) -> list[Any]:
        told = self._told
        found: list[Any] = []
        for kind, key, name, about in (
            (CounterMetricFamily, "events", "gupsim_events", "Deliveries at this node."),
            (CounterMetricFamily, "windows", "gupsim_windows", "Windows played."),
            (CounterMetricFamily, "waited_seconds", "gupsim_waited_seconds", "Seconds spent waiting for other nodes."),
            (CounterMetricFamily, "refused", "gupsim_refused", "Connections and messages that were refused."),
            (GaugeMetricFamily, "time_ns", "gupsim_virtual_time_nanoseconds", "Virtual time of this node."),
            (GaugeMetricFamily, "round", "gupsim_round", "Current round."),
            (GaugeMetricFamily, "unconfirmed_bytes", "gupsim_unconfirmed_bytes", "Records kept for the coordinator."),
            (GaugeMetricFamily, "replayed_rounds", "gupsim_replayed_rounds", "Rounds taken from the journal."),
        ):
            family = kind(name, about)
            family.add_metric([], float(told.get(key, 0)))
            found.append(family)
        up = GaugeMetricFamily("gupsim_peer_connected", "1 while the peer is connected.", labels=["peer"])
        for peer in told.get("peers", ()):
            up.add_metric([peer["node"]], float(peer["connected"]))
        found.append(up)
        return found


def metrics_of(told: dict[str, Any]) -> bytes:
    """The text of /metrics."""
    registry = CollectorRegistry()
    registry.register(_Numbers(told))
    return generate_latest(registry)
