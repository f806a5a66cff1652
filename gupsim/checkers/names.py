"""One key for one thing: tracepoints name a device now by its address and now by its name on its host."""

from __future__ import annotations

import functools
from typing import Final, TypeAlias

from gupsim.protocol import address
from gupsim.trace.records import Event

host_of: Final = functools.lru_cache(maxsize=1024)(address.host_of)
"""The host of an address. A world has some dozens of addresses and asks a hundred times in each execution."""

FrameKey: TypeAlias = tuple[str, int]
"""(host, pfn): frame 7 of one host is not frame 7 of another."""

FileKey: TypeAlias = tuple[str, str, int]
"""(host, file system, inode)."""

PageKey: TypeAlias = tuple[str, str, int, int]
"""(host, file system, inode, index): a page of a file, cached or not."""


def frame_key(event: Event, pfn: int) -> FrameKey:
    """The frame `pfn` that a tracepoint speaks of: one of its actor's host."""
    return host_of(event.actor), pfn


@functools.lru_cache(maxsize=1024)
def short(name: str) -> str:
    """ "h0/fs/ext4" and "fs/ext4" are both "ext4"."""
    return name.rpartition("/")[2]


def without_host(event: Event, name: str) -> str:
    """ "h0/driver/nic" is "driver/nic" for an actor of h0."""
    return name.removeprefix(host_of(event.actor) + "/")


def is_device(by: str) -> bool:
    """A DMA engine or a disk: it writes memory whatever the page tables say."""
    return by.startswith(("dma/", "block/"))
