"""The RDMA network between hosts, and what a NIC does for others without asking its own host's CPUs."""

from __future__ import annotations

from errno import EREMOTEIO
from typing import Final

from gupsim.protocol.message import Message, Request, Status, Tracepoint
from gupsim.protocol.pages import Pages

REMOTE_ACCESS_ERROR: Final = -EREMOTEIO
"""The target's NIC knows no such region, or the write goes beyond it: IBV_WC_REM_ACCESS_ERR."""

FIRST_REMOTE_OPERATION: Final = 1 << 32
"""Operations that a NIC does for other hosts are numbered from here; those of its own driver from 1."""


class AddRegion(Request[Status], frozen=True):
    """The driver gives the NIC a memory region that other hosts may write to (ibv_reg_mr with REMOTE_WRITE).

    key: the rkey, which is the handle of the registration. pfns: its frames, which the NIC keeps using, whatever the
    kernel does with them meanwhile."""

    key: int
    pfns: Pages


class RemoveRegion(Request[Status], frozen=True):
    """The driver takes a region back (ibv_dereg_mr). Answered once no write to it is in flight."""

    key: int


class ExposeBuffer(Request[Status], frozen=True):
    """ioctl: let other hosts write to a registration. From process to its driver."""

    handle: int


class FindRegion(Request["Region"], frozen=True):
    """Ask host `to` for the key of one of its regions: what two programs tell each other over a connection before they
    use RDMA. From process to the fabric of its own host, from there to the other's, and to its NIC.

    device: name of the NIC at both ends. choice: any number; it picks one region."""

    to: str
    device: str
    choice: int


class Region(Message, frozen=True):
    """key and number of pages, or error (-11, EAGAIN: that NIC has no region now). Answers FindRegion."""

    error: int
    key: int = 0
    pages: int = 0


class WriteRemote(Request[Status], frozen=True):
    """RDMA WRITE: `length` bytes of `fill` into page `page` of region `key` of host `to`. Travels as FindRegion does.
    Answered when the other NIC has acknowledged; no CPU there takes notice."""

    to: str
    device: str
    key: int
    page: int
    offset: int
    length: int
    fill: int


class RegionAdded(Tracepoint, frozen=True, tag="dma:region"):
    """Other hosts may write to these frames from now on."""

    dma: str
    key: int
    pfns: Pages

    def say(self) -> str:
        return f"{self.dma}: region {self.key} is open to other hosts: page(s) {self.pfns.say()}"


class RemoteRefused(Tracepoint, frozen=True, tag="dma:remote_refused"):
    """A write of another host named a region that is not there (any more)."""

    dma: str
    key: int
    page: int

    def say(self) -> str:
        return f"{self.dma} refuses a remote write to page {self.page} of region {self.key}: no such region"


MESSAGES: tuple[type[Message], ...] = (
    AddRegion,
    RemoveRegion,
    ExposeBuffer,
    FindRegion,
    Region,
    WriteRemote,
)
TRACEPOINTS: tuple[type[Tracepoint], ...] = (RegionAdded, RemoteRefused)
