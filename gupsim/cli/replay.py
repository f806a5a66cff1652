"""`gupsim replay`: an execution that a search found, once more."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gupsim.cli.console import INTERRUPTED, OK, VIOLATION, refuse, say_json, stdout, warn
from gupsim.cli.export import Format, exported
from gupsim.cli.file_kind import elsewhere
from gupsim.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from gupsim.replay import Minimised, Minimiser, Recording, Replayed, Why

RecordingFile = Annotated[str, typer.Argument(help="A replay file.", metavar="FILE", show_default=False)]


def replay(
    file: RecordingFile,
    *,
    step: Annotated[bool, typer.Option("--step", help="Walk through it, event by event.")] = False,
    timeline: Annotated[bool, typer.Option("--timeline", help="Show what happened, one lane per actor.")] = False,
    minimise: Annotated[
        bool, typer.Option("--minimise", "--minimize", help="Make it as small as possible, and write that.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="For --minimise (default: beside FILE) or --to (standard output)."
        ),
    ] = None,
    fallback: Annotated[
        bool,
        typer.Option("--fallback", help="Follow a recording of something else as far as it goes, then oldest first."),
    ] = False,
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="SCENARIO", help="Play it on this one, not on the one that it names.")
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Say which race decides it, and what fine would be.")
    ] = True,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write the execution as a trace, as run does.")
    ] = None,
    to: Annotated[
        Format | None,
        typer.Option("--to", help="Print it for other programs, as export does, and nothing else; --out: to a file."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Repeat a recorded execution exactly. Exit status 1 if there is a violation, as there should be."""
    if as_json and (step or timeline):
        refuse("replay: --json prints one object; it goes with neither --step nor --timeline")
    if to is not None and (as_json or step or timeline or minimise):
        refuse("replay: --to prints the execution; it goes with none of --json, --step, --timeline and --minimise")
    if out is not None and not minimise and to is None:
        refuse("replay: --out goes with --minimise or --to")
    from gupsim.replay import ReplayError, load
    from gupsim.replay import replay as play_again

    try:
        recording = load(file)
    except ReplayError as error:
        refuse(f"replay: {error}{elsewhere(file, 'replay')}")
    try:
        replayed = play_again(recording, name=file, scenario=scenario, fallback=fallback)
    except ReplayError as error:
        refuse(f"replay: {error}")
    result: Minimised | None = None
    name = file
    if minimise:
        if replayed.found is None:
            refuse(f"replay: --minimise: the recorded {recording.expected.kind} is not there any more")
        recording, result, name = _minimise(replayed, file, out)
        replayed = play_again(recording, name=name, fallback=fallback)
    if trace is not None:
        _write_trace(replayed, trace)
    if to is not None:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "trace"
            _write_trace(replayed, whole)
            exported(str(whole), out, to)
        return VIOLATION if replayed.violations else OK
    why = _why(replayed) if explain and replayed.found is not None else None
    _show(replayed, result, why, name, step=step, timeline=timeline, as_json=as_json)
    if result is not None and result.limited == _STOPPED:
        return INTERRUPTED
    return VIOLATION if replayed.violations else OK


def _write_trace(replayed: Replayed, path: Path) -> None:
    from gupsim.replay.as_trace import write_trace

    try:
        write_trace(replayed, path)
    except OSError as error:
        refuse(f"replay: {path} cannot be written: {error.strerror or error}")


_STOPPED = "was interrupted"


def _minimise(replayed: Replayed, file: str, out: Path | None) -> tuple[Recording, Minimised, str]:
    from gupsim.cli.interrupt import Interrupts
    from gupsim.cli.replay_progress import ReplayProgress
    from gupsim.replay import SUFFIX, Minimiser, minimised, save
    from gupsim.replay.show import size_in_words

    path = out or Path(f"{file.removesuffix(SUFFIX).removesuffix('.min')}.min{SUFFIX}")
    minimiser = Minimiser(replayed.target)
    with Interrupts() as interrupts, ReplayProgress() as progress:

        def after_each(minimiser: Minimiser) -> None:
            try:
                interrupts.check()
            except KeyboardInterrupt:
                # What it has come to so far is as good a recording as any.
                minimiser.stop(_STOPPED)
            progress(f"minimising: {minimiser.executions} executions, {size_in_words(minimiser.size)}")

        minimiser.progress = after_each
        recording, result = minimised(replayed, minimiser)
    try:
        save(recording, path)
    except OSError as error:
        refuse(f"replay: --minimise: {path} cannot be written: {error.strerror or error}")
    return recording, result, str(path)


def _why(replayed: Replayed) -> Why:
    from gupsim.cli.interrupt import Interrupts
    from gupsim.cli.replay_progress import ReplayProgress
    from gupsim.replay import explain

    with Interrupts() as interrupts, ReplayProgress() as progress:

        def after_each(tried: int, most: int) -> None:
            interrupts.check()
            progress(f"turning races round: {tried} of {most}")

        return explain(replayed.runs, replayed.history, replayed.target, progress=after_each)


def _show(
    replayed: Replayed,
    result: Minimised | None,
    why: Why | None,
    file: str,
    *,
    step: bool,
    timeline: bool,
    as_json: bool,
) -> None:
    from gupsim.replay import show
    from gupsim.report import Timeline, print_verdict
    from gupsim.report.verdict import WIDTH

    if as_json:
        for warning in show.warnings(replayed):
            warn(warning)
        say_json(show.as_json(replayed, why, result, file))
        return
    console = stdout()
    width = min(console.width, WIDTH)
    if step and not _walk(replayed, why, console, width):
        return
    if timeline:
        drawing = Timeline()
        for event in replayed.events:
            drawing.feed(event)
        drawing.print(console, replayed.violations)
        console.print()
    lines = [*(show.shrunk(result, width) if result is not None else ()), *show.about(replayed, width)]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    print_verdict(console, show.outcome_of(replayed))
    for line in show.why_lines(why, width) if why is not None else ():
        console.print(line, soft_wrap=True, highlight=False)
    console.print()
    console.print(f"replay   {show.command(file)}", soft_wrap=True, highlight=False)
    cut = replayed.recording.scenario is not None and replayed.recording.scenario.kept
    if result is None and not cut and replayed.found is not None:
        console.print(f"smaller  {show.command(file, '--minimise')}", soft_wrap=True, highlight=False)


def _walk(replayed: Replayed, why: Why | None, console: Console, width: int) -> bool:
    from gupsim.replay.step import HELP, Walk, walk

    asked = sys.stdin.isatty() and sys.stdout.isatty()

    def ask() -> str:
        try:
            return input("> ")
        except EOFError:
            return "q"

    if asked:
        console.print(HELP, style="dim", soft_wrap=True)
    stayed = walk(
        Walk(replayed.history, why, width),
        lambda line: console.print(line, soft_wrap=True, highlight=False),
        ask if asked else None,
    )
    if stayed:
        console.print()
    return stayed
