"""What an expectation may be about: a kind of violation, or what steps returned and what is there at the end.

A claim has two forms: fields in a file, ``{result: {again: ENOMEM}, load: {seen: 0x22}}``, and a line of text,
``again=ENOMEM & seen=0x22``, by which searches and reports call it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from gupsim.checkers import KINDS
from gupsim.protocol import steps
from gupsim.scenario.errors import FieldError, Path, quote, unknown
from gupsim.scenario.model import Claim, Machine, Scenario, Value

Step: TypeAlias = tuple[str, int]
"""A step: its thread and its number in it."""

PLACES: Final = ("file", "disk", "memory")
"""Where bytes may be at the end: a file as read(2) shows it, its blocks, a mapping of a process."""

_PART = re.compile(
    r"\s*(?:warning (?P<warning>\"(?:[^\"\\]|\\.)*\")"
    r"|(?:(?P<place>file|disk|memory) )?(?P<name>[A-Za-z_][A-Za-z0-9_.:/-]*)\s*=\s*(?P<value>[^&,=\"\s][^&,=\"]*?)"
    r"|(?P<kind>[a-z-]+))\s*(?:&|,|/\\|$)"
)


class ClaimError(ValueError):
    """A text that is no claim, or a claim about something that is not there."""


def claim_text(claim: Claim | str) -> str:
    """ "again=ENOMEM & seen=0x22"; a kind by itself is its own text."""
    if isinstance(claim, str):
        return claim
    parts = list(claim.kind)
    parts += [f"{name}={_said(value)}" for name, value in {**claim.result, **claim.load}.items()]
    for place in PLACES:
        parts += [f"{place} {name}={_said(value)}" for name, value in getattr(claim, place).items()]
    parts += [f'warning "{_escaped(text)}"' for text in claim.warning]
    return " & ".join(parts)


def claim_of(text: str) -> Claim | str:
    """The claim that a text stands for; ClaimError if it is none."""
    kinds: list[str] = []
    warnings: list[str] = []
    values: dict[str, dict[str, Value]] = {name: {} for name in ("result", *PLACES)}
    at = 0
    while at < len(text) or not text:
        part = _PART.match(text, at)
        if part is None:
            raise ClaimError(f"{quote(text)} is no claim: expected a kind, as data-loss, or name=value, joined by &")
        at = part.end()
        if part["warning"]:
            warnings.append(re.sub(r"\\(.)", r"\1", part["warning"][1:-1]))
        elif part["name"]:
            values[part["place"] or "result"][part["name"]] = value_of(part["value"])
        else:
            kinds.append(known_kind(part["kind"]))
    if len(kinds) == 1 and not warnings and not any(values.values()):
        return kinds[0]
    return Claim(kind=tuple(kinds), warning=tuple(warnings), **values)


def known_kind(kind: str) -> str:
    """The kind itself; ClaimError if no checker reports it."""
    if kind not in KINDS:
        raise ClaimError(unknown("kind of violation", kind, KINDS))
    return kind


def value_of(text: str) -> Value:
    """A number if it is one, else the text."""
    try:
        return int(text, 0)
    except ValueError:
        return text


def check_claim(scenario: Scenario, claim: Claim | str, path: Path) -> None:
    """FieldError for a kind that no checker reports, and for a name of nothing."""
    if isinstance(claim, str):
        if claim not in KINDS:
            raise FieldError(unknown(f"value of {str(path[-2])!r}", claim, KINDS), *path)
        return
    for number, kind in enumerate(claim.kind):
        if kind not in KINDS:
            raise FieldError(unknown("value of 'kind'", kind, KINDS), *path, "kind", number)
    if not claim_text(claim):
        raise FieldError("claims nothing: expected kind, result, load, file, disk, memory or warning", *path)
    names = result_names(scenario)
    for field in ("result", "load"):
        for name in getattr(claim, field):
            check_result(names, name, (*path, field, name))
    for field in PLACES:
        for name in getattr(claim, field):
            _check_place(scenario, field, name, (*path, field, name))


def check_result(names: dict[str, list[Step]], name: str, path: Path) -> None:
    """FieldError unless one step has this name."""
    found = names.get(name)
    if found is None:
        raise FieldError(unknown("result", name, names, instead="no step has a name: give it a label"), *path)
    if len(found) > 1:
        both = " and ".join(f"step {number + 1} of {thread}" for thread, number in found[:2])
        raise FieldError(f"{name!r} names {both}: give the one that is meant a label", *path)


def check_observable(scenario: Scenario, text: str, path: Path) -> None:
    """FieldError unless an entry of `outcomes` names a result, "warnings", or a place, as "file data:0"."""
    place, _, name = text.partition(" ")
    if place in PLACES and name:
        _check_place(scenario, place, name, path)
    elif text != "warnings":
        check_result(result_names(scenario), text, path)


def result_names(scenario: Scenario) -> dict[str, list[Step]]:
    """What steps are called: by their label, else by the name of what they make; else by thread and number, "app:3"."""
    names: dict[str, list[Step]] = {}
    labels: dict[str, list[Step]] = {}
    for thread, spec in scenario.threads.items():
        for number, step in enumerate(spec.steps):
            place = (thread, number)
            if step.label:
                labels[step.label] = [place]
            elif name := getattr(step, "name", ""):
                names.setdefault(name, []).append(place)
            names[f"{thread}:{number + 1}"] = [place]
    return {**names, **labels}


def name_of(scenario: Scenario, step: Step) -> str:
    """The shortest name that means this step alone."""
    thread, number = step
    names = result_names(scenario)
    return next(name for name, found in sorted(names.items(), key=_plain_first) if found == [(thread, number)])


def _plain_first(item: tuple[str, list[Step]]) -> bool:
    return ":" in item[0]


def split_place(text: str) -> tuple[str, str, int]:
    """ "app/buf:1" is ("app", "buf", 1); without a process "", without a page 0."""
    name, _, page = text.partition(":")
    process, slash, rest = name.rpartition("/")
    return (process if slash else ""), rest, int(page or 0)


def _check_place(scenario: Scenario, place: str, text: str, path: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_./-]+(:[0-9]{1,6})?", text):
        raise FieldError(f"{quote(text)} is no place: expected a name, as 'data', or with a page, as 'data:1'", *path)
    process, name, _ = split_place(text)
    if place != "memory":
        files = files_with_pages(scenario.machine)
        known = list(files) if place == "file" else [file for file in files if file not in scenario.machine.memfds]
        if process or name not in known:
            raise FieldError(unknown("file", text, known, "the machine has no file"), *path)
        return
    maps = mappings(scenario)
    full = [f"{owner}/{map_}" for owner, map_ in maps]
    if process and (process, name) not in maps:
        raise FieldError(unknown("mapping", text, full), *path)
    owners = [owner for owner, map_ in maps if map_ == name]
    if not process and not owners:
        raise FieldError(unknown("mapping", text, full), *path)
    if not process and len(owners) > 1:
        problem = f"{name!r} is a mapping of several processes: {', '.join(owners)}; say which, as '{owners[0]}/{name}'"
        raise FieldError(problem, *path)


def mappings(scenario: Scenario) -> dict[tuple[str, str], int]:
    """(process, mapping) with its pages; a child has those of its parent."""
    from gupsim.scenario.references import families, process_of

    made: dict[tuple[str, str], int] = {}
    for name, thread in scenario.threads.items():
        place = process_of(name, thread)
        heirs = [other[1] for other, family in families(scenario).items() if place in family]
        for step in thread.steps:
            if isinstance(step, steps.Mmap | steps.Mremap) and step.name:
                made |= {(heir, step.name): step.pages for heir in heirs}
    return made


def files_with_pages(machine: Machine) -> dict[str, int]:
    """Each file and memfd with its pages at boot."""
    files = {file: spec.pages for fs in machine.filesystems.values() for file, spec in fs.files.items()}
    return {**files, **{name: memfd.pages for name, memfd in machine.memfds.items()}}


def same_value(claimed: Value, seen: str) -> bool:
    """Is what was seen what is claimed? Numbers by value ("0x22" is "34"); of several only the first counts then.
    An errno with or without its sign."""
    if isinstance(claimed, int):
        first = re.split(r"[ /]", seen)[0]
        return value_of(first) == claimed
    said = claimed.removeprefix("-")
    return seen in (claimed, said) or _SYNONYMS.get(said, said) == _SYNONYMS.get(seen, seen)


_SYNONYMS: Final = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN"}


def claims_of(texts: Iterable[str]) -> dict[str, Claim]:
    """Those of the texts that are more than a kind, by their text."""
    found = {text: claim_of(text) for text in texts if text not in KINDS}
    return {text: claim for text, claim in found.items() if isinstance(claim, Claim)}


def _said(value: Value) -> str:
    return f"{value:#04x}" if isinstance(value, int) and value >= 0 else str(value)


def _escaped(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)
