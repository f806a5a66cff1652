"""The command `gupsim`: its subcommands, and what becomes of every error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from gupsim.cli import check, cluster, conformance, explore, export, kernels, replay, rules, run, scenarios
from gupsim.cli.console import (
    BAD_INPUT,
    INTERNAL,
    INTERRUPTED,
    OK,
    PIPE_CLOSED,
    BadInput,
    OutputFailed,
    PipeClosed,
    make_printable,
    output,
    say_text,
    warn,
)
from gupsim.scenario.choices import ChoiceError
from gupsim.scenario.errors import ScenarioError
from gupsim.trace.errors import TraceError

app = typer.Typer(
    name="gupsim",
    help="An executable model of get_user_pages() and of the kernel subsystems that race with it.",
    epilog="Exit status: 0 no violation, 1 a violation or something else than expected, 2 bad input or a file that"
    " cannot be written, 3 a limit ended a search, 70 internal error, 130 interrupted, 141 nobody reads the output.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_STATUS = "Exit status: "
_EPILOGS = {
    "run": f"{_STATUS}0 no violation, 1 a violation. Example: gupsim run S01 --kernel v5.19 --timeline",
    "explore": f"{_STATUS}0 all as expected, 1 something is not, 3 a limit came first, 130 Ctrl-C or SIGTERM did."
    ' Example: gupsim explore S16 --kernel "v5.19 + arm64"',
    "check": f"{_STATUS}0 no violation, 1 a violation, 3 none, but the trace is cut off."
    " Example: gupsim check s01.trace",
    "export": f"{_STATUS}0. Example: gupsim export s01.trace --to perfetto -o s01.json",
    "replay": f"{_STATUS}0 no violation, 1 a violation, 130 Ctrl-C."
    " Example: gupsim replay FILE --minimise, gupsim replay FILE --to mermaid",
    "conformance": f"{_STATUS}0 all agree, 1 something differs. Example: gupsim conformance --area fork",
    "scenarios": f"{_STATUS}0. Example: gupsim scenarios S01 > mine.yaml",
    "rules": f"{_STATUS}0. Example: gupsim rules fork_pinned",
    "kernels": f"{_STATUS}0. Example: gupsim kernels v5.19 v6.12",
}
"""Beside 2 for bad input, 70 and 141, which all commands have."""

app.command("run", epilog=_EPILOGS["run"])(run.run)
app.command("explore", epilog=_EPILOGS["explore"])(explore.explore)
app.command("check", epilog=_EPILOGS["check"])(check.check)
app.command("export", epilog=_EPILOGS["export"])(export.export)
app.command("replay", epilog=_EPILOGS["replay"])(replay.replay)
app.command("conformance", epilog=_EPILOGS["conformance"])(conformance.conformance)
app.command("scenarios", epilog=_EPILOGS["scenarios"])(scenarios.scenarios)
app.command("rules", epilog=_EPILOGS["rules"])(rules.rules)
app.command("kernels", epilog=_EPILOGS["kernels"])(kernels.kernels)
app.command("node")(cluster.node)
app.add_typer(cluster.cluster, name="cluster")


def _version(wanted: bool) -> None:
    if wanted:
        say_text(f"gupsim {version('gupsim')}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    __: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an internal error. Stands anywhere.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    try:
        make_printable()
    except BadInput as error:
        sys.exit(_failed(str(error), BAD_INPUT))
    sys.exit(status_of(sys.argv[1:]))


def status_of(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    debug = "--debug" in arguments
    try:
        words = [word for word in arguments if word != "--debug"]
        result = app(words or ["--help"], prog_name="gupsim", standalone_mode=False)
        with output():
            sys.stdout.flush()
    except OutputFailed as error:
        _drop_output()
        return _failed(str(error), BAD_INPUT)
    except (BadInput, ScenarioError, ChoiceError, TraceError) as error:
        return _failed(str(error), BAD_INPUT)
    except (PipeClosed, BrokenPipeError):
        _drop_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort: a person never sees a bare traceback
        usage = getattr(error, "format_message", None)
        if callable(usage):
            command = getattr(getattr(error, "ctx", None), "command_path", "gupsim")
            return _failed(f"{usage()} ('{command} --help' shows the options)", BAD_INPUT)
        if type(error).__name__ == "Abort":
            return _failed("interrupted", INTERRUPTED)
        if debug:
            traceback.print_exc()
        hint = "" if debug else "; --debug shows where"
        return _failed(f"internal error: {type(error).__name__}: {error}{hint}", INTERNAL)
    if result == INTERRUPTED:
        # Some releases of typer turn KeyboardInterrupt into this status themselves.
        return _failed("interrupted", INTERRUPTED)
    return result if isinstance(result, int) else OK


def _drop_output() -> None:
    """What is still buffered must not fail once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(message: str, status: int) -> int:
    warn(message)
    return status


if __name__ == "__main__":
    main()
