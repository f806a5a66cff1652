"""What a benchmark found, as rows for a person or for a program."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec
from rich.table import Table

from benchmarks.contest import Ratio


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the table.

    what, against: who was compared with whom; `against` is "" for a plain measurement.
    unit: "x" for a ratio of speeds. value, least, most: median and range over the rounds; None if not measured.
    target: at least this much, if there is a target. rate: units in a second of `what`, if that is of interest.
    note: why there is no value.
    """

    what: str
    against: str = ""
    unit: str = "x"
    value: float | None = None
    least: float | None = None
    most: float | None = None
    target: float | None = None
    rate: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "reached" or "missed"; "" without a target."""
        if self.value is None:
            return "skipped"
        if self.target is None:
            return ""
        return "reached" if self.value >= self.target else "missed"


def compared(what: str, against: str, ratio: Ratio, target: float, rate: float) -> Row:
    """A row of a contest."""
    return Row(
        what=what, against=against, value=ratio.median, least=ratio.least, most=ratio.most, target=target, rate=rate
    )


def measured(what: str, unit: str, values: Sequence[float]) -> Row:
    """A row without an opponent."""
    return Row(what=what, unit=unit, value=median(values), least=min(values), most=max(values))


def skipped(what: str, why: str, against: str = "") -> Row:
    """A row that could not be measured."""
    return Row(what=what, against=against, note=why)


def missing(what: str, against: str, package: str) -> Row:
    """A row whose opponent is not installed."""
    return skipped(what, f"{package} is not installed; it comes with the extra: pip install 'gupsim\\[bench]'", against)


def table(rows: Sequence[Row]) -> Table:
    """For people."""
    drawn = Table(title="Speed in CPU time, medians of paired rounds", title_justify="left")
    for heading, justify in (
        ("what", "left"), ("against", "left"), ("median", "right"), ("min..max", "right"), ("target", "right"),
        ("", "left"), ("us each", "right"),
    ):  # fmt: skip
        drawn.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        if row.value is None or row.least is None or row.most is None:
            drawn.add_row(row.what, row.against, "", "", "", f"skipped: {row.note}", "")
            continue
        drawn.add_row(
            row.what,
            row.against,
            f"{_short(row.value)} {row.unit}",
            f"{_short(row.least)}..{_short(row.most)}" if row.least < row.most else "",
            "" if row.target is None else f"{row.target:g}",
            f"[{'green' if row.verdict == 'reached' else 'red'}]{row.verdict}[/]" if row.verdict else "",
            f"{1e6 / row.rate:.2f}" if row.rate else "",
        )
    return drawn


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
