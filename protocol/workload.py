"""The generators of a workload: seeded clients that repeat one kind of work for a duration of virtual time.

A scenario file writes one as ``- rdma_registration: {device: nic, file: ring, every: 50us}``. A generator
carries no seed: every choice comes from the stream of the process that runs it. `every` and `hold` are a
time, "50us", or a range of times, "20us..80us"; page counts are a number or a range, "1..4". A draw from a
range is uniform, both ends included.
"""

from __future__ import annotations

import re
import typing
from random import Random
from typing import Annotated, TypeAlias

import msgspec

from gupsim.protocol.steps import Count, Name, PinFlag
from gupsim.protocol.units import UnitError, nanoseconds

_TIME = r"[0-9]+(\.[0-9]+)?(ns|us|ms|s)"
Times = Annotated[str, msgspec.Meta(pattern=rf"^{_TIME}(\.\.{_TIME})?$", examples=["50us", "20us..80us"])]
PageRange = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,7}(\.\.[0-9]{1,7})?$", examples=["1..4"])]
Pages: TypeAlias = Count | PageRange


def _word(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Generator(msgspec.Struct, frozen=True, tag=_word, tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """What every generator has.

    every: pause between the end of one round and the start of the next. start: pause before the first round.
    clients: so many loops run side by side, as threads of the process. cpu: number of the CPU they run on.
    A loop starts no round once the duration of the workload is over, and ends what it has begun (unpins).
    """

    every: Times
    start: Times = "0ns"
    clients: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1
    cpu: Count = 0


class DirectIo(Generator, frozen=True, tag=_word, kw_only=True):
    """A round is one O_DIRECT transfer of `pages` pages between a random place of `file` and a buffer.

    reads: percent of the rounds that read from disk into memory; the others write.
    buffer: a file whose shared mapping is the buffer, or "": anonymous memory. Before a write the buffer gets
    a random byte.
    """

    file: Name
    pages: Pages = 1
    reads: Annotated[int, msgspec.Meta(ge=0, le=100)] = 50
    buffer: str = ""


class RdmaRegistration(Generator, frozen=True, tag=_word, kw_only=True):
    """A round registers `pages` pages at a random place of a mapping, holds them, and releases them.

    device: whose driver pins them. flags: as in the step `pin`.
    file: mapped shared, whole, once at the start; "": anonymous memory of `buffer` pages.
    hold: time from the registration to the release.
    writes: while it is held, the device writes so many times, spread evenly over `hold`, a random byte over a
    random page of it; the last time just before the release. dirty: the driver marks the pages dirty when it
    releases them. remote: other hosts may write to it meanwhile, over the fabric.
    """

    device: Name
    file: str = ""
    remote: bool = False
    buffer: Count = 16
    pages: Pages = 1
    hold: Times = "100us"
    writes: Pages = 1
    dirty: bool = True
    flags: tuple[PinFlag, ...] = ("write",)


class MemoryPressure(Generator, frozen=True, tag=_word, kw_only=True):
    """A round makes reclaim scan `pages` pages of the inactive lists. direct, anon: as in `shrink`."""

    pages: Pages = 1
    direct: bool = False
    anon: bool = False


class FsyncCycle(Generator, frozen=True, tag=_word, kw_only=True):
    """A round fills `writes` pages at random places of `file` with a random byte (write(2)), then fsyncs."""

    file: Name
    writes: Pages = 1


class RemoteWrite(Generator, frozen=True, tag=_word, kw_only=True):
    """A round asks a random other host for a region and writes to it over the fabric (RDMA WRITE).

    device: name of the NIC, here and there. writes: so many, each of `size` bytes to a random page of the region, one
    after the other; they end early if the region is gone.
    """

    device: Name
    writes: Pages = 1
    size: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 4096


AnyGenerator: TypeAlias = DirectIo | RdmaRegistration | MemoryPressure | FsyncCycle | RemoteWrite
GENERATORS: tuple[type[Generator], ...] = typing.get_args(AnyGenerator)


def bounds_ns(text: str) -> tuple[int, int]:
    """ "20us..80us" is (20000, 80000), "50us" is (50000, 50000). UnitError if the range runs backwards."""
    low, _, high = text.partition("..")
    first, last = nanoseconds(low), nanoseconds(high or low)
    if last < first:
        raise UnitError(f"{text!r} runs backwards: the shorter time comes first")
    return first, last


def bounds_pages(pages: int | str) -> tuple[int, int]:
    """ "1..4" is (1, 4), 3 is (3, 3). UnitError if the range runs backwards."""
    if isinstance(pages, int):
        return pages, pages
    low, _, high = pages.partition("..")
    first, last = int(low), int(high or low)
    if last < first:
        raise UnitError(f"{pages!r} runs backwards: the smaller number comes first")
    return first, last


def draw_ns(text: str, random: Random) -> int:
    """One time of a range, in nanoseconds."""
    return random.randint(*bounds_ns(text))


def draw_pages(pages: int | str, random: Random) -> int:
    """One number of a range."""
    return random.randint(*bounds_pages(pages))


def word(generator: type[Generator] | Generator) -> str:
    """How a scenario file writes this generator: "rdma_registration"."""
    return str(generator.__struct_config__.tag)
