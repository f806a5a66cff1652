"""Steps and their results in a kernel developer's words, for timelines."""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode
from typing import Any, Final

from gupsim.protocol import steps

OK: Final = "ok"
NO_SUCH_MAP: Final = "no-such-map"
NO_HYPERVISOR: Final = "no-hypervisor"
NO_SUCH_PIN: Final = "no-such-pin"
_ERRNOS: Final = {95: "EOPNOTSUPP", 512: "ERESTARTSYS"}
"""Names that the kernel uses; the C library calls 95 ENOTSUP as well and does not know 512."""

FATAL: Final = ("SIGSEGV", "SIGBUS", "SIGKILL")
"""Results after which a thread does nothing more."""


def outcome(value: int, *, number: bool = False) -> str:
    """ "EFAULT" for -14; for anything else "ok", or the number itself if it is one that a person wants to see."""
    if value < 0:
        return _ERRNOS.get(-value) or errorcode.get(-value, str(value))
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
    huge = f", huge pages of order {step.hugetlb}" if step.hugetlb else ""
    huge += f" of memfd {step.memfd}" if step.memfd else ""
    shared = step.shared if step.shared is not None else bool(step.file)
    if step.device:
        what = "of the registers of" if step.backing == "registers" else "that belong to the driver of"
        return f"mmap {step.name}: {pages(step.pages)} {what} {step.device}"
    what = f"{step.file} from page {step.offset}" if step.file and step.offset else step.file or "anonymous memory"
    return f"mmap {step.name}: {pages(step.pages)} of {what}, {'shared' if shared else 'private'}, {step.prot}{huge}"


def _direct_io(step: steps.DirectIo) -> str:
    file, memory = f"{step.file} page {step.file_page}", _place(step, step.map)
    way = f"from {file} into {memory}" if step.dir == "read" else f"from {memory} to {file}"
    return f"O_DIRECT {step.dir} of {pages(step.pages)} {way}"


def _pin(step: steps.Pin) -> str:
    flags = "|".join(step.flags) or "read"
    times = f", {step.times:,} times" if step.times > 1 else ""
    return f"{step.device} pins {pages(step.pages)} of {_place(step, step.map)} as {step.name} ({flags}){times}"


def _shrink(step: steps.Shrink) -> str:
    return f"{'direct reclaim' if step.direct else 'kswapd'} scans {pages(step.pages)}"


_WORDINGS: Final[dict[type[steps.Step], Callable[[Any], str]]] = {
    steps.Mmap: _mmap,
    steps.Munmap: lambda step: f"munmap {_range(step)}",
    steps.Mprotect: lambda step: f"mprotect {_range(step)} to {step.prot}",
    steps.Madvise: lambda step: f"madvise({step.advice.upper()}) {_range(step)}",
    steps.Mremap: lambda step: f"mremap {_range(step)}" + (f" as {step.name}" if step.name else ""),
    steps.Msync: lambda step: f"msync {_range(step)}",
    steps.Mincore: lambda step: f"mincore {_range(step)}",
    steps.Store: lambda step: f"store {step.value:#04x} to {_place(step, step.map)}, {_bytes(step)}",
    steps.Load: lambda step: f"load from {_place(step, step.map)}, {_bytes(step)}",
    steps.Write: lambda step: f"write {step.value:#04x} to {step.file} at byte {step.offset}, {_bytes(step)}",
    steps.Read: lambda step: f"read {step.file} at byte {step.offset}, {_bytes(step)}",
    steps.Truncate: lambda step: f"truncate {step.file} to {pages(step.pages)}",
    steps.Fallocate: lambda step: f"fallocate {step.mode} {pages(step.pages)} from page {step.page} of {step.file}",
    steps.Seal: lambda step: f"seal {step.file} against {', '.join(step.seals)}",
    steps.PunchHole: lambda step: f"punch {pages(step.pages)} from page {step.page} out of memfd {step.memfd}",
    steps.DirectIo: _direct_io,
    steps.Fsync: lambda step: f"fsync {step.file}",
    steps.SyncFileRange: lambda step: f"sync_file_range {step.file}",
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
        + ("" if step.pages is None else f", as if it were {pages(step.pages)}")
    ),
    steps.RegisterBuffers: lambda step: (
        f"io_uring {step.name} registers {pages(step.pages)} of {_place(step, step.map)}"
    ),
    steps.Vmsplice: lambda step: f"vmsplice {pages(step.pages)} of {_place(step, step.map)} into {step.name}",
    steps.PipeRead: lambda step: f"read {pages(step.pages)} from {step.pin}",
    steps.ProcessVm: lambda step: (
        f"process_vm_{step.dir}v of {pages(step.pages)} of {step.target}, {_place(step, step.map)}"
    ),
    steps.Serve: lambda step: f"{step.disk} answers its oldest request with {step.value:#04x}",
    steps.Setrlimit: lambda step: f"setrlimit MEMLOCK to {pages(step.memlock)}",
    steps.Setuid: lambda step: f"setuid {step.uid}",
    steps.Migrate: lambda step: f"migrate {_place(step, step.map)}",
    steps.Writeback: lambda step: f"wake the flusher {step.fs}".rstrip(),
    steps.Shrink: _shrink,
    steps.Collapse: lambda step: f"khugepaged collapses {_place(step, step.map)}",
    steps.Idle: lambda step: "idle" + (f", the MMU walks to {_place(step, step.map)}" if step.map else ""),
    steps.Preempt: lambda step: f"the hypervisor preempts cpu {step.cpu}",
    steps.Resume: lambda step: f"the hypervisor resumes cpu {step.cpu}",
    steps.Wait: lambda step: f"wait {step.time}",
    steps.Signal: lambda step: f"kill {step.process} with {step.signal}",
    steps.Fork: lambda step: f"fork {step.child}",
    steps.Waitpid: lambda step: f"wait for the end of {step.child}",
    steps.Exit: lambda _: "exit",
}
