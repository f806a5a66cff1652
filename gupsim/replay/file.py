"""Replay files: JSON, because they travel in mails and bug reports, and a reviewer reads what he is asked to run."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from gupsim.replay.errors import BadRecording
from gupsim.replay.recording import (
    FORMAT,
    FORMAT_VERSION,
    Choice,
    Expected,
    Place,
    Recording,
    Schedule,
    check,
)
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import RULES, Kernel
from gupsim.scenario.load import Loaded
from gupsim.scenario.model import Scenario
from gupsim.search.execution import Violation
from gupsim.whole import write_whole

MAX_BYTES: Final = 4 << 20
"""Larger files are refused before a byte of them is read. A recording of 300 events has some 6 KB."""

SUFFIX: Final = ".replay.json"


class _Head(msgspec.Struct):
    format: object = None
    version: object = None


def save(recording: Recording, path: Path | str) -> Path:
    """Write a recording, whole or not at all. OSError if that fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encoded(recording))
    return path


def load(path: Path | str) -> Recording:
    """Read a recording; BadRecording for everything that can be wrong with the file."""
    path = Path(path)
    try:
        if path.is_dir():
            raise BadRecording(f"{path}: is a directory, not a replay file")
        if not path.is_file():
            problem = "is not a plain file" if path.exists() else "there is no such file"
            raise BadRecording(f"{path}: {problem}")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, BadRecording):
            raise
        raise BadRecording(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return decoded(data)
    except BadRecording as error:
        raise BadRecording(f"{path}: {error}") from None


def encoded(recording: Recording) -> bytes:
    """The bytes of its file: JSON, one line for each part, so that a diff or a mail shows what is what."""
    fields = msgspec.to_builtins(recording)
    lines = [f"{_json(name)}: {_json(value)}" for name, value in fields.items() if value is not None]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def decoded(data: bytes) -> Recording:
    """A recording from the bytes of its file."""
    if len(data) > MAX_BYTES:
        raise BadRecording(f"is too large: a replay file has at most {MAX_BYTES} bytes")
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadRecording("is not a replay file of gupsim (not JSON, or cut off)") from None
    if head.format != FORMAT:
        raise BadRecording("is not a replay file of gupsim")
    if head.version != FORMAT_VERSION:
        raise BadRecording(f"has version {head.version!r:.40} of the replay format; this gupsim reads {FORMAT_VERSION}")
    try:
        recording = msgspec.json.decode(data, type=Recording)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRecording(f"is damaged: {error}") from None
    check(recording)
    return recording


def recorded(
    loaded: Loaded,
    kernel: Kernel,
    schedule: Schedule,
    violation: Violation,
    *,
    strategy: str = "",
    seed: int = 0,
    cut: Scenario | None = None,
    kept: dict[str, tuple[int, ...]] | None = None,
) -> Recording:
    """What to save. strategy, seed: what found it. cut, kept: what is left of the scenario, if steps were dropped."""
    return Recording(
        format=FORMAT,
        version=FORMAT_VERSION,
        gupsim=version("gupsim"),
        scenario=Place(
            file=loaded.file[-300:],
            title=loaded.scenario.title,
            digest=loaded.digest,
            form=file_form(cut if cut is not None else loaded.scenario),
            kept=kept or {},
        ),
        kernel=Choice(
            era=kernel.era,
            platform=kernel.platform,
            policies=kernel.policies,
            settings=kernel.settings,
            rules={rule: str(getattr(kernel.rules, rule).value) for rule in RULES},
        ),
        strategy=strategy,
        seed=seed,
        expected=expected_of(violation),
        schedule=schedule,
    )


def expected_of(violation: Violation) -> Expected:
    """What a replay must show again."""
    return Expected(
        kind=violation.kind, message=violation.message[:20_000], actors=tuple(getattr(violation, "actors", ()))
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
