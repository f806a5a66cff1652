"""What people and programs get to see of a run: verdict, timeline, metrics, JSON."""

from gupsim.report.as_json import as_json
from gupsim.report.metrics import Metrics
from gupsim.report.outcome import Outcome
from gupsim.report.timeline import Timeline
from gupsim.report.verdict import print_verdict, verdict_lines

__all__ = ["Metrics", "Outcome", "Timeline", "as_json", "print_verdict", "verdict_lines"]
