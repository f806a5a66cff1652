"""Steps and their results in a kernel developer's words, for timelines."""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode
from typing import Any, Final

from protocol import steps

OK: Final = "ok"
NO_SUCH_MAP: Final = "no-such-map"
NO_SUCH_PIN: Final = "no-such-pin"
FATAL: Final = ("SIGSEGV", "SIGBUS", "SIGKILL")
"""Results after which a thread does nothing more."""


def outcome(value: int, *, number: bool = False) -> str:
    """ "EFAULT" for -14; for anything else "ok", or the number itself if it is one that a person wants to see."""
    if value < 0:
        return errorcode.get(-value, str(value))
    return str(value) if number else OK


def wording(step: steps.Step) -> str:
    """One line that says what the step does, without its script (`after`, `until`, `delay`)."""
    return _WORDINGS[type(step)](step)


def pages(count: int) -> str:
    """ "1 page", "3 pages"."""
    return f"{count} page{'' if count == 1 else 's'}"


def _place(step: Any, name: str) -> str:
    """Where a step works, said as briefly as possible: "buf", "buf page 2", "buf page 0 at byte 100"."""
    offset = getattr(step, "offset", 0)
    page = f" page {step.page}" if step.page or offset else ""
    return f"{name}{page}" + (f" at byte {offset}" if offset else "")


def _range(step: Any) -> str:
    if not step.page and not step.pages:
        return str(step.map)
    count = f" ({pages(step.pages)})" if step.pages else " to the end"
    return f"{step.map} from page {step.page}{count}"


def _bytes(step: Any) -> str:
    return f"{step.length} byte{'' if step.length == 1 else 's'}"


def _mmap(step: steps.Mmap) -> str:
    shared = step.shared if step.shared is not None else bool(step.file)
    what = f"{step.file} from page {step.offset}" if step.file and step.offset else step.file or "anonymous memory"
    return f"mmap {step.name}: {pages(step.pages)} of {what}, {'shared' if shared else 'private'}, {step.prot}"


def _direct_io(step: steps.DirectIo) -> str:
    file, memory = f"{step.file} page {step.file_page}", _place(step, step.map)
    way = f"from {file} into {memory}" if step.dir == "read" else f"from {memory} to {file}"
    return f"O_DIRECT {step.dir} of {pages(step.pages)} {way}"


def _pin(step: steps.Pin) -> str:
    flags = "|".join(step.flags) or "read"
    return f"{step.device} pins {pages(step.pages)} of {_place(step, step.map)} as {step.name} ({flags})"


def _shrink(step: steps.Shrink) -> str:
    return f"{'direct reclaim' if step.direct else 'kswapd'} scans {pages(step.pages)}"


_WORDINGS: Final[dict[type[steps.Step], Callable[[Any], str]]] = {
    steps.Mmap: _mmap,
    steps.Munmap: lambda step: f"munmap {_range(step)}",
    steps.Mprotect: lambda step: f"mprotect {_range(step)} to {step.prot}",
    steps.Madvise: lambda step: f"madvise({step.advice.upper()}) {_range(step)}",
    steps.Store: lambda step: f"store {step.value:#04x} to {_place(step, step.map)}, {_bytes(step)}",
    steps.Load: lambda step: f"load from {_place(step, step.map)}, {_bytes(step)}",
    steps.Write: lambda step: f"write {step.value:#04x} to {step.file} at byte {step.offset}, {_bytes(step)}",
    steps.Read: lambda step: f"read {step.file} at byte {step.offset}, {_bytes(step)}",
    steps.DirectIo: _direct_io,
    steps.Fsync: lambda step: f"fsync {step.file}",
    steps.Sync: lambda step: f"sync {step.fs}".rstrip(),
    steps.Fadvise: lambda step: f"fadvise(DONTNEED) {step.file}",
    steps.Pin: _pin,
    steps.DmaWrite: lambda step: f"device writes {step.value:#04x} to {_place(step, step.pin)}, {_bytes(step)}",
    steps.DmaRead: lambda step: f"device reads {_place(step, step.pin)}, {_bytes(step)}",
    steps.SetDirty: lambda step: f"driver marks {step.pin} dirty ({step.how})",
    steps.Unpin: lambda step: (
        f"driver releases {step.pin}"
        + (" and marks it dirty" if step.dirty else "")
        + ("" if step.how == "match" else f" with {step.how}")
    ),
    steps.Writeback: lambda step: f"wake the flusher {step.fs}".rstrip(),
    steps.Shrink: _shrink,
    steps.Wait: lambda step: f"wait {step.time}",
    steps.Signal: lambda step: f"kill {step.process} with {step.signal}",
    steps.Exit: lambda _: "exit",
}
