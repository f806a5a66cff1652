"""What a clustered run shows while it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from gupsim.cli.display import Display
from gupsim.protocol.units import duration

if TYPE_CHECKING:
    from gupsim.cluster.coordinator import Coordinator


class ClusterProgress(Display):
    """Call it with the coordinator every now and then; use it as a context manager."""

    def __call__(self, coordinator: Coordinator) -> None:
        """Show how far it is, and whom the others wait for."""
        if self.due:
            self.live().update(Text("\n").join(lines(coordinator)), refresh=True)


def lines(coordinator: Coordinator) -> list[Text]:
    """One line for the run and one for each node."""
    merge = coordinator.merge
    elapsed = max(time.monotonic() - coordinator.began, 1e-9)
    windows = max(merge.round, 0)
    found = len(coordinator.judge.suite.violations)
    told = [
        Text(
            f"{duration(merge.time)} of virtual time, {windows:,} windows, {merge.deliveries:,} deliveries"
            f" ({merge.deliveries / elapsed:,.0f}/s), {found} violations, {elapsed:.0f} s"
        )
    ]
    critical = coordinator.critical() if len(coordinator.nodes) > 1 else None
    for view in coordinator.nodes:
        per_window = view.events / max(view.upto, 1)
        state = f"not connected: {view.trouble}" if view.ws is None else f"waited {view.waited:.1f} s"
        line = Text(f"  {view.at.name:<6} {view.events:>11,} events, {per_window:,.0f} a window, {state}")
        if view is critical:
            line.append("  <- the others wait for it", "yellow")
        told.append(line)
    return told
