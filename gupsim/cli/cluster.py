"""`gupsim node`, `gupsim cluster run` and `gupsim cluster resume`: one history over several processes or machines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gupsim.cli.console import OK, VIOLATION, refuse, say_json, say_text, stdout, warn
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

if TYPE_CHECKING:
    from gupsim.cluster.judge import ClusterOutcome
    from gupsim.cluster.run_dir import RunDir, RunFile

UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h: a node was lost; `resume` goes on."""

cluster = typer.Typer(help="One history over several processes or machines.", no_args_is_help=True)


def node(
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")] = "127.0.0.1:7000",
    *,
    name: Annotated[str, typer.Option("--name", help="In messages, until a run gives another.")] = "node",
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="For journals: what a node needs to come back.")
    ] = Path("gupsim-node"),
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", metavar="FILE", help="Secret that all nodes share.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option("--tls-ca", metavar="FILE", help="The CA that signed all nodes' certificates, PEM.")
    ] = None,
    durable: Annotated[
        bool, typer.Option("--durable", help="Survive a loss of power, too: a disk write in each window.")
    ] = False,
    until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
) -> int:
    """Wait for a coordinator and take part in its runs. Without secret and TLS it listens on loopback only."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        refuse(f"node: --listen {listen!r}: expected HOST:PORT, as 127.0.0.1:7000")
    from gupsim.cluster.errors import ConfigError
    from gupsim.cluster.node import NodeOptions, serve
    from gupsim.cluster.security import Credentials, read_secret

    options = NodeOptions(host.strip("[]"), int(port), name, state, durable=durable, parent=until_stdin_ends)
    try:
        secret = read_secret(secret_file) if secret_file is not None else b""
        credentials = Credentials(secret, cert=tls_cert, key=tls_key, ca=tls_ca)
        serve(options, credentials, lambda url: say_text(f"gupsim node {name} listens on {url}\n"))
    except ConfigError as error:
        refuse(f"node: {error}")
    return OK


@cluster.command("run")
def run(
    scenario: ScenarioName,
    *,
    nodes: Annotated[int, typer.Option("--nodes", "-n", min=0, help="Start so many nodes here.")] = 0,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Use the nodes that this file names.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run-dir", metavar="DIR", help="For trace and state (default: a new one)."),
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option("--place", metavar="PATTERN=NODE", help="Actors of this pattern live there. Repeatable."),
    ] = None,
    layout: Annotated[
        str, typer.Option("--layout", metavar="NAME", help="Of all other actors: hosts (kept together) or spread.")
    ] = "",
    hosts: HostsOption = 0,
    duration: DurationOption = "",
    kernel: KernelOption = "",
    platform: PlatformOption = "",
    policy: PolicyOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    patience: Annotated[
        float, typer.Option("--patience", metavar="SECONDS", min=0, help="How long a node may be gone (default: 60).")
    ] = 0,
    restarts: Annotated[int, typer.Option("--restarts", min=0, help="Of each local node, at most.")] = 10,
    durable: Annotated[bool, typer.Option("--durable", help="Local nodes survive a loss of power, too.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Play one timed history on several nodes; the trace is that of 'gupsim run'. Exit status 1 if there is a
    violation, 69 if a node was lost and the run can be resumed."""
    loaded = scaled_or_refused("cluster run", load(scenario), hosts, duration)
    chosen = chosen_kernel(loaded.scenario, kernel, platform, policy, settings)
    if bool(nodes) == (config is not None):
        refuse("cluster run: give either --nodes N or --config FILE")
    from gupsim.cluster.config import read_config
    from gupsim.cluster.errors import ConfigError
    from gupsim.cluster.launch import prepare
    from gupsim.cluster.run_dir import RunDir

    try:
        file = read_config(config) if config is not None else None
        folder = RunDir.new(run_dir or Path(tempfile.mkdtemp(prefix="gupsim-run-")))
        saved = prepare(
            folder,
            loaded,
            chosen,
            seed=seed,
            local=nodes,
            file=file,
            base=config.parent if config is not None else Path(),
            rules=place or [],
            layout=layout,
            patience=patience or (file.patience_seconds if file is not None else 60),
            restarts=restarts,
            durable=durable,
        )
    except ConfigError as error:
        refuse(f"cluster run: {error}")
    return _play(folder, saved, as_json=as_json)


@cluster.command("resume")
def resume(
    run_dir: Annotated[Path, typer.Argument(help="Directory of an interrupted run.", metavar="RUN_DIR")],
    *,
    as_json: JsonOption = False,
) -> int:
    """Go on with a run whose coordinator, nodes or machine ended: the result is that of an undisturbed run."""
    from gupsim.cluster.errors import ConfigError
    from gupsim.cluster.run_dir import RunDir

    folder = RunDir(run_dir)
    try:
        file = folder.load()
    except ConfigError as error:
        refuse(f"cluster resume: {error}")
    return _play(folder, file, as_json=as_json)


def _play(folder: RunDir, file: RunFile, *, as_json: bool) -> int:
    from gupsim.cli.cluster_progress import ClusterProgress
    from gupsim.cluster.errors import ClusterError, ConfigError
    from gupsim.cluster.launch import Interrupted, coordinate

    try:
        with ClusterProgress() as progress:
            outcome = coordinate(folder, file, progress)
    except ConfigError as error:
        refuse(f"cluster: {error}")
    except Interrupted as error:
        warn(str(error))
        return 128 + error.number
    except ClusterError as error:
        warn(str(error))
        return UNAVAILABLE
    for warning in outcome.outcome.warnings:
        warn(warning)
    _show(outcome, as_json=as_json)
    return VIOLATION if outcome.outcome.violations else OK


def _show(outcome: ClusterOutcome, *, as_json: bool) -> None:
    from gupsim.cli.play import outcome_json, show_outcome
    from gupsim.cluster.launch import described

    if as_json:
        say_json({**outcome_json(outcome.outcome), **described(outcome)})
        return
    out = stdout()
    show_outcome(outcome.outcome, out)
    events = ", ".join(f"{name} {count:,}" for name, count in outcome.events_per_node.items())
    out.print(
        f"nodes    {events} events; {outcome.windows:,} windows of {outcome.lookahead} ns;"
        f" {outcome.restarts} restarts; {outcome.seconds:.1f} s",
        soft_wrap=True,
    )
    out.print(f"trace    {outcome.trace}", soft_wrap=True)
