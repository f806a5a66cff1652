"""`gupsim run`: one timed history of a scenario."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from gupsim.cli.console import OK, VIOLATION, refuse, say_json, stdout, warn
from gupsim.cli.options import (
    DurationOption,
    HostsOption,
    JsonOption,
    KernelOption,
    PlatformOption,
    PolicyOption,
    ScenarioName,
    SeedOption,
    SetOption,
    chosen_kernel,
    scaled_or_refused,
)
from gupsim.scenario.load import load


def run(
    scenario: ScenarioName,
    *,
    kernel: KernelOption = "",
    platform: PlatformOption = "",
    policy: PolicyOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    trace: Annotated[Path | None, typer.Option("--trace", metavar="FILE", help="Write the trace to this file.")] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Show what happened, one lane per actor.")] = False,
    as_json: JsonOption = False,
    pace: Annotated[
        float,
        typer.Option(
            "--pace", metavar="SECONDS", min=0, help="Slow motion: real seconds for a microsecond of virtual time."
        ),
    ] = 0,
    hosts: HostsOption = 0,
    duration: DurationOption = "",
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="A..B", help="How often: one history for each of these seeds, as 0..99.")
    ] = "",
) -> int:
    """Play one timed history and say what came of it. Exit status 1 if there is a violation."""
    loaded = scaled_or_refused("run", load(scenario), hosts, duration)
    chosen = chosen_kernel(loaded.scenario, kernel, platform, policy, settings)
    if trace is not None and trace.exists() and Path(loaded.file).exists() and trace.samefile(loaded.file):
        refuse(f"run: --trace: {trace} is the scenario itself and would be overwritten")
    if as_json and (timeline or pace):
        refuse("run: --json prints one object; it goes with neither --timeline nor --pace")
    if not math.isfinite(pace):
        refuse("run: --pace is a number of seconds")
    if seeds and (seed or trace is not None or timeline or pace):
        refuse("run: --seeds tells how often; it goes with none of --seed, --trace, --timeline and --pace")
    many = _seeds(seeds) if seeds else range(0)
    # The engine and the actors take a quarter of a second to import: not before the input is known to be good.
    from gupsim.cli import play

    if seeds:
        return play.how_often(loaded, chosen, many, as_json=as_json)
    played = play.play(loaded, chosen, seed=seed, trace=trace, timeline=timeline, pace=pace)
    if as_json:
        for warning in played.outcome.warnings:
            warn(warning)
        say_json(play.outcome_json(played.outcome))
    else:
        play.show(played, stdout())
    return VIOLATION if played.outcome.violations else OK


_MOST = 1_000_000


def _seeds(text: str) -> range:
    found = re.fullmatch(r"([0-9]{1,18})\.\.([0-9]{1,18})", text)
    if found is None or int(found[1]) > int(found[2]) or int(found[2]) - int(found[1]) >= _MOST:
        refuse(f"run: --seeds: {text!r} is no range of at most {_MOST:,} seeds, as 0..99")
    return range(int(found[1]), int(found[2]) + 1)
