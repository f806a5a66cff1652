"""`gupsim export`: a stored trace for other programs."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gupsim.cli.console import OK, refuse, say_text, warn
from gupsim.cli.options import TraceFile
from gupsim.protocol.units import UnitError, nanoseconds

Limited = tuple[int, int, int, int]
"""Page or -1, first and last time (ns; -1: to the end), arrows."""


class Format(StrEnum):
    """Where a trace can go."""

    PERFETTO = "perfetto"
    MERMAID = "mermaid"
    CSV = "csv"


def export(
    file: TraceFile,
    *,
    to: Annotated[
        Format,
        typer.Option(
            "--to",
            help="perfetto: for ui.perfetto.dev; mermaid: a sequence diagram; csv: the tracepoints.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT", help="File to write (default: standard output).")
    ] = None,
    page: Annotated[
        int | None, typer.Option("--page", metavar="PFN", min=0, help="mermaid: only about this page.")
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="mermaid: from here on, as 9us.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="mermaid: up to here, as 20us.")] = "",
    arrows: Annotated[int, typer.Option("--arrows", min=1, help="mermaid: at most so many messages.")] = 150,
) -> int:
    """Convert a stored trace for Perfetto, for Mermaid or to CSV."""
    limited = page is not None or since or until or arrows != 150
    if limited and to is not Format.MERMAID:
        refuse(f"export: --page, --since, --until and --arrows are for mermaid, not for {to.value}")
    if out is not None and out.exists() and Path(file).exists() and out.samefile(file):
        refuse(f"export: {out} is the trace itself and would be overwritten")
    exported(file, out, to, (-1 if page is None else page, _time(since, 0), _time(until, -1), arrows))
    return OK


def exported(file: str, out: Path | None, to: Format, limits: Limited = (-1, 0, -1, 150)) -> None:
    """A trace file in the other format, to `out` or to standard output, with warnings on standard error."""
    if out is not None:
        warnings = _write(file, out, to, limits)
    else:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "export"
            warnings = _write(file, whole, to, limits)
            say_text(whole.read_text(encoding="utf-8"))
    for warning in warnings:
        warn(warning)


def _write(file: str, out: Path, to: Format, limits: Limited) -> list[str]:
    from gupsim.checkers import check_file
    from gupsim.export import Limits, write_csv, write_mermaid, write_perfetto

    _, violations, _ = check_file(file)
    if to is Format.PERFETTO:
        return write_perfetto(file, out, violations)
    if to is Format.MERMAID:
        page, start, end, arrows = limits
        return write_mermaid(file, out, Limits(page=page, start=start, end=end, arrows=arrows), violations)
    return write_csv(file, out, violations)


def _time(text: str, default: int) -> int:
    try:
        return nanoseconds(text) if text else default
    except UnitError as error:
        refuse(f"export: {error}")
