"""The directory of a clustered run: all that is needed to go on with it after everything has ended."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from gupsim.cluster.errors import ConfigError, JournalError
from gupsim.cluster.merge import Merge
from gupsim.cluster.plan import Plan
from gupsim.cluster.stream import Stream
from gupsim.protocol.node import NodeAt
from gupsim.trace import TraceReader
from gupsim.trace.records import Delivery
from gupsim.whole import write_whole

RUN_VERSION: Final = 1

_BEFORE_RUN_FILE: Final = {"nodes", "run.json.new"}
"""What a coordinator leaves that was killed before it could say what it runs."""


class RunFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file run.json. run: its id. nodes: with fixed URLs; empty if this run has nodes of its own, `local` of them.
    secret_file, cert, key, ca: paths; patience: seconds; lookahead: ns."""

    version: int
    run: str
    plan: Plan
    lookahead: int
    local: int
    nodes: list[tuple[str, str]]
    patience: float
    restarts: int
    durable: bool
    secret_file: str = ""
    cert: str = ""
    key: str = ""
    ca: str = ""

    def at(self) -> tuple[NodeAt, ...]:
        """The nodes with their URLs."""
        return tuple(NodeAt(name, url) for name, url in self.nodes)


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """The trace holds all rounds up to `round` in its first `size` bytes."""

    round: int
    size: int


class RunDir:
    """path: the directory. Files: run.json, trace, progress; of local nodes: secret, nodes/ with their journals."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trace = path / "trace"
        self.nodes = path / "nodes"
        self._progress: Stream | None = None

    @staticmethod
    def new(path: Path) -> RunDir:
        """Make it. ConfigError if something is there already."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(entry.name not in _BEFORE_RUN_FILE for entry in path.iterdir()):
                raise ConfigError(f"{path} is not empty: a run has a directory of its own")
            (path / "nodes").mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"run directory {path}: {error.strerror or error}") from None
        return RunDir(path)

    @property
    def secret(self) -> Path:
        """A secret of this run alone, made on first use."""
        path = self.path / "secret"
        if not path.exists():
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(file, secrets.token_hex(32).encode())
            os.close(file)
        return path

    def save(self, file: RunFile) -> None:
        """Write run.json, whole or not at all."""
        write_whole(self.path / "run.json", msgspec.json.format(msgspec.json.encode(file), indent=1))

    def load(self) -> RunFile:
        """Read run.json; ConfigError if there is none."""
        path = self.path / "run.json"
        try:
            file = msgspec.json.decode(path.read_bytes(), type=RunFile)
        except OSError as error:
            raise ConfigError(f"{self.path} is not the directory of a run: {path.name}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path} is not the file of a run of this gupsim: {error}") from None
        if file.version != RUN_VERSION:
            raise ConfigError(f"{path} is of version {file.version}; this gupsim reads {RUN_VERSION}")
        return file

    def resume(self, merge: Merge) -> None:
        """Open the trace where it stands, cut off what is behind the last known round, and let `merge` read it again;
        or begin it."""
        self._progress = Stream(self.path / "progress", "gupsim progress")
        known = [msgspec.msgpack.decode(record, type=Progress) for record in self._progress.records]
        self._progress.records = []
        try:
            size = self.trace.stat().st_size if self.trace.exists() else 0
            last = next((entry for entry in reversed(known) if entry.size <= size), None)
            if last is None:
                merge.open(self.trace.open("wb", buffering=0))
                merge.begin()
                return
            file = self.trace.open("r+b", buffering=0)
            file.truncate(last.size)
            for chunk in iter(lambda: file.read(1 << 18), b""):
                merge.reread(chunk)
            merge.open(file)
        except OSError as error:
            raise JournalError(f"{self.trace}: {error.strerror or error}") from None
        reader = TraceReader(self.trace)
        if reader.header != merge.header:
            raise JournalError(f"{self.trace} is the trace of another run")
        for record in reader.records():
            if type(record) is Delivery:
                merge.saw_delivery(record.time)
            else:
                merge.saw(record)  # type: ignore[arg-type]
        merge.resume(last.round)

    def note(self, merge: Merge) -> None:
        """All rounds that `merge` has passed on are in the trace."""
        assert self._progress is not None
        self._progress.append(msgspec.msgpack.encode(Progress(merge.round, merge.size)))

    def close(self) -> None:
        """Close what is open."""
        if self._progress is not None:
            self._progress.close()
