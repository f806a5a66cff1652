"""The operations of the cases and their arguments. What is not in here is unsupported, with its name as the reason.

Pages are counted in 4 KiB from the start of the named mapping or object; pages 0 stands for the rest.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

import msgspec

from gupsim.conformance.cases import Step
from gupsim.conformance.errors import ConformanceError, Unsupported
from gupsim.conformance.files import convert
from gupsim.scenario.errors import unknown

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
Some = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
Length = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,39}$")]
Prot = Literal["none", "r", "w", "rw"]
Direction = Literal["read", "write"]


class Args(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the arguments of all operations."""


class NoArgs(Args, frozen=True):
    """None at all."""


class Open(Args, frozen=True, kw_only=True):
    name: Name = msgspec.field(name="as")
    type: str
    pages: Some
    fill: Byte | None = None
    chunk: Some = 1


class Map(Args, frozen=True, kw_only=True):
    name: Name = msgspec.field(name="as")
    kind: str
    pages: Some
    prot: Prot = "rw"
    obj: Name | None = None
    offset: Count = 0
    fill: Byte | None = None
    hugepage: bool = True


class Place(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0


class Range(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    pages: Count = 0


class Write(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    val: Byte
    len: Length = 4096


class Protect(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    pages: Count = 0
    prot: Prot


class Madvise(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    pages: Count = 0
    advice: str


class Mremap(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    pages: Count = 0
    name: Name | None = msgspec.field(name="as", default=None)


class Fork(Args, frozen=True, kw_only=True):
    child: Name


class Memlock(Args, frozen=True, kw_only=True):
    pages: Count


class Settle(Args, frozen=True, kw_only=True):
    ms: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 200


class KhugepagedRun(Args, frozen=True, kw_only=True):
    scans: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3


class Join(Args, frozen=True, kw_only=True):
    wait: float = 4


class Pin(Args, frozen=True, kw_only=True):
    name: Name = msgspec.field(name="as")
    how: str
    map: Name
    page: Count = 0
    pages: Count = 0


class Pinned(Args, frozen=True, kw_only=True):
    pin: Name


class DmaWrite(Args, frozen=True, kw_only=True):
    pin: Name
    page: Count = 0
    val: Byte
    len: Length = 4096


class DmaRead(Args, frozen=True, kw_only=True):
    pin: Name
    page: Count = 0


class PipeRead(Args, frozen=True, kw_only=True):
    pin: Name
    pages: Some = 1


class DirectIo(Args, frozen=True, kw_only=True):
    dir: Direction
    obj: Name
    map: Name
    page: Count = 0
    pages: Some = 1
    obj_page: Count = 0


class HoldStart(Args, frozen=True, kw_only=True):
    name: Name = msgspec.field(name="as")
    dir: Direction
    map: Name
    page: Count = 0
    via: str = "loop"


class HoldFinish(Args, frozen=True, kw_only=True):
    hold: Name
    val: Byte = 0


class Pvm(Args, frozen=True, kw_only=True):
    dir: Direction
    target: Name
    map: Name
    page: Count = 0
    pages: Count = 0
    val: Byte = 0


class Fallocate(Args, frozen=True, kw_only=True):
    obj: Name
    mode: str
    page: Count = 0
    pages: Some = 1


class Truncate(Args, frozen=True, kw_only=True):
    obj: Name
    pages: Count


class Seal(Args, frozen=True, kw_only=True):
    obj: Name
    seals: Literal["write", "future_write", "shrink", "grow", "seal"]


class FileWrite(Args, frozen=True, kw_only=True):
    obj: Name
    page: Count = 0
    pages: Some = 1
    val: Byte


class FileRead(Args, frozen=True, kw_only=True):
    obj: Name
    page: Count = 0
    direct: bool = False


class Object(Args, frozen=True, kw_only=True):
    obj: Name


class PfnMark(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    name: Name = msgspec.field(name="as")


class PfnCmp(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    mark: Name


class PageFlags(Args, frozen=True, kw_only=True):
    map: Name
    page: Count = 0
    flags: str


class MarkFlags(Args, frozen=True, kw_only=True):
    mark: Name
    flags: str


class VmstatWait(Args, frozen=True, kw_only=True):
    held: Count = 0


OPERATIONS: Final[dict[str, type[Args]]] = {
    "open": Open,
    "map": Map,
    "unmap": Range,
    "write": Write,
    "read": Place,
    "protect": Protect,
    "madvise": Madvise,
    "mremap": Mremap,
    "msync": Range,
    "mincore": Range,
    "fork": Fork,
    "exit": NoArgs,
    "join": Join,
    "memlock": Memlock,
    "drop_priv": NoArgs,
    "settle": Settle,
    "pin": Pin,
    "unpin": Pinned,
    "dma_write": DmaWrite,
    "dma_read": DmaRead,
    "pipe_read": PipeRead,
    "direct_io": DirectIo,
    "pvm": Pvm,
    "hold_start": HoldStart,
    "hold_finish": HoldFinish,
    "truncate": Truncate,
    "fallocate": Fallocate,
    "seal": Seal,
    "file_write": FileWrite,
    "file_read": FileRead,
    "fsync": Object,
    "sync_range": Object,
    "drop": Object,
    "pfn_mark": PfnMark,
    "pfn_cmp": PfnCmp,
    "pte": Place,
    "mapcount": Place,
    "pageflags": PageFlags,
    "markflags": MarkFlags,
    "migrate": Place,
    "khugepaged_run": KhugepagedRun,
    "vmstat": NoArgs,
    "vmstat_wait": VmstatWait,
    "status": NoArgs,
    "thp": Place,
}
"""Each operation that the model carries, with its arguments."""

LOOKS: Final = (
    "pfn_mark", "pfn_cmp", "pte", "mapcount", "pageflags", "markflags", "vmstat", "vmstat_wait", "status", "thp",
)  # fmt: skip
"""Operations that change nothing: looks at the machine from outside."""

ABSENT: Final[dict[str, str]] = {
    "mlock": "no mapping can be locked in memory",
    "compact": "there is no compaction",
    "ksm_run": "there is no ksmd",
    "zone": "the machine has one zone",
    **dict.fromkeys(("ring", "ring_close"), "a process has one ring for each pin"),
    **dict.fromkeys(
        ("buf_register", "buf_sparse", "buf_update", "buf_clone", "buf_unregister", "buf_dma_write", "buf_dma_read"),
        "a ring has one fixed buffer",
    ),
    "remap_anon": "mappings get addresses of their own",
    **dict.fromkeys(("uffd", "uffd_wp", "uffd_move", "uffd_wp_bit"), "there is no userfaultfd"),
    **dict.fromkeys(("soft_dirty", "soft_dirty_clear"), "entries have no soft-dirty bit"),
    "exclusive": "pagemap is not shown",
    "mseal": "no mapping can be sealed",
    "mremap_dontunmap": "mremap always unmaps the old place",
    "munlock": "no mapping can be locked in memory",
    **dict.fromkeys(("mem_write", "mem_read"), "there is no /proc/PID/mem"),
    **dict.fromkeys(("udmabuf", "udmabuf_close"), "there is no udmabuf"),
    "thp_split": "nobody asks for a split",
    **dict.fromkeys(("mthp", "folio"), "huge pages have one size"),
    **dict.fromkeys(("swapoff", "drop_caches", "sync"), "no step does it to the whole machine"),
    "file_splice": "splice takes no pages of files",
    "clone_file": "there is no reflink",
    **dict.fromkeys(("fadvise_drop", "file_pages"), "posix_fadvise of a part is left out"),
    "dmesg": "the log is not read",
}
"""Operations of the vocabulary that no actor carries, with the reason."""


def arguments(step: Step, place: str) -> Args:
    """The arguments of a step, checked. ConformanceError if one is of the wrong type or missing; Unsupported for an
    operation or an argument that nobody carries."""
    kind = OPERATIONS.get(step.op)
    if kind is None:
        known = (*OPERATIONS, *ABSENT)
        if step.op not in ABSENT and get_close_matches(step.op, known, 1, 0.8):
            raise ConformanceError(f"{place}: {unknown('operation', step.op, known)}")
        raise Unsupported(f"{step.op}: {ABSENT.get(step.op, 'no such operation is known')}")
    given: dict[str, Any] = {name: value for name, value in (step.args or {}).items() if value is not None}
    for name in given:
        if name not in kind.__struct_encode_fields__:
            raise Unsupported(f"{step.op}: no such argument is known: {name}")
    return convert(given, kind, place)
