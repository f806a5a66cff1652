"""The object that ``gupsim run --json`` prints."""

from __future__ import annotations

from typing import Any

from gupsim.checkers.violation import Violation
from gupsim.report.outcome import Outcome


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Plain dictionaries, lists, strings and integers, in a fixed order."""
    header = outcome.header
    return {
        "scenario": header.scenario,
        "kernel": header.kernel,
        "platform": header.platform,
        "policies": list(header.policies),
        "seed": header.seed,
        "verdict": outcome.verdict,
        "violations": [_violation(found) for found in outcome.violations],
        "metrics": dict(outcome.metrics),
        "vmstat": dict(outcome.vmstat),
        "results": dict(outcome.results),
        "outcome": dict(outcome.ended_with),
        "claims": dict(outcome.claims),
        "notes": list(outcome.notes),
        "events": outcome.events,
        "trace_sha256": outcome.trace_sha256,
        **({"cut": True} if outcome.cut else {}),
    }


def _violation(found: Violation) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "time_ns": found.time_ns,
        "message": found.message,
        "actors": list(found.actors),
    }
