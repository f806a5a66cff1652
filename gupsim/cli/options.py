"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from gupsim.cli.console import refuse
from gupsim.scenario.choices import Kernel, kernel, parts_of, split_setting
from gupsim.scenario.load import Loaded
from gupsim.scenario.model import Scenario
from gupsim.scenario.scale import ScaleError, scaled

ScenarioName = Annotated[
    str, typer.Argument(help="S01, the name of a scenario file, or a path.", metavar="SCENARIO", show_default=False)
]
TraceFile = Annotated[str, typer.Argument(help="A trace file.", metavar="FILE", show_default=False)]
KernelOption = Annotated[
    str,
    typer.Option(
        "--kernel", "-k", metavar="ERA", help='As v6.12, or "v6.12 + arm64 + bounce" (default: what the scenario says).'
    ),
]
PlatformOption = Annotated[
    str, typer.Option("--platform", metavar="NAME", help="What it runs on, as arm64 (default: what the scenario says).")
]
PolicyOption = Annotated[
    list[str] | None,
    typer.Option("--policy", "-p", metavar="NAME", help="A proposal on top of the kernel, as bounce. Repeatable."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="RULE=VALUE", help="Set a single rule. Repeatable.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of latencies and generators.")]
HostsOption = Annotated[int, typer.Option("--hosts", min=0, max=64, help="Of the machine, instead of the scenario's.")]
DurationOption = Annotated[
    str, typer.Option("--duration", metavar="TIME", help="Of the workload, as 20ms, instead of the scenario's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def scaled_or_refused(command: str, loaded: Loaded, hosts: int, duration: str) -> Loaded:
    """The scenario with so many hosts, and so long a workload; as it is for 0 and ""."""
    try:
        return scaled(loaded, hosts=hosts, duration=duration)
    except ScaleError as error:
        refuse(f"{command}: {error}")


def chosen_kernel(
    scenario: Scenario, era: str, platform: str, policies: list[str] | None, settings: list[str] | None
) -> Kernel:
    """The scenario's kernel with the command line's choices; ChoiceError if one of them is wrong."""
    if "+" in era:
        named_era, named_platform, named_policies, named_settings = parts_of(era)
    else:
        named_era, named_platform, named_policies, named_settings = era, "", [], []
    if platform and named_platform and platform != named_platform:
        refuse(f"--kernel names the platform {named_platform}, --platform {platform}")
    return kernel(
        named_era or scenario.kernel,
        [*named_policies, *(policies or ())],
        [*named_settings, *(split_setting(text) for text in settings or ())],
        platform=platform or named_platform or scenario.platform,
        base_policies=scenario.policies,
        base_settings=scenario.rules,
    )
