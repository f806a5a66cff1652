"""io_uring with fixed buffers: long-term pins that belong to a ring, and so to whoever has it open."""

from __future__ import annotations

from collections.abc import Iterable
from errno import EBUSY, EFAULT, ENOMEM, ENOSYS, ENXIO, EOPNOTSUPP
from typing import Final

import msgspec

from gupsim.actors.base import KernelActor, Map, Port, chunks_of, handles
from gupsim.actors.rules.introduced import UringSetup
from gupsim.actors.rules.rules import KernelRules
from gupsim.actors.rules.uring import (
    UringAccount,
    UringCoalesce,
    UringExit,
    UringFile,
    UringMemlock,
    UringOrder,
    UringPin,
    UringPinned,
)
from gupsim.protocol.cpu import GetUserPagesFast
from gupsim.protocol.memmap import Folio, PutRefs, ReadFolio, UnpinRefs
from gupsim.protocol.memory import ReadMemory, WriteMemory
from gupsim.protocol.message import DONE, Done, Status
from gupsim.protocol.mm import Foll, GetUserPages, UserPages
from gupsim.protocol.pages import Pages
from gupsim.protocol.proc import ChargePinned, ReadVmas
from gupsim.protocol.shmem import SHMEM
from gupsim.protocol.uring import (
    Copied,
    FixedRegistered,
    FixedReleased,
    GetRing,
    PutRing,
    ReadFixed,
    RegisterBuffers,
    Ring,
    SetupRing,
    UnregisterBuffers,
    WriteFixed,
)

_RING_PAGES: Final = 2
"""Of a ring with eight entries: one page of queues, one of submissions."""

_FLAGS: Final = Foll.LONGTERM | Foll.WRITE
"""Always for writing: the kernel cannot know what the buffer will be used for."""


class FixedBuffer(msgspec.Struct, frozen=True):
    """io_mapped_ubuf. pins: (page, how many) that are still held; charged: pages, to `user` and to `mm`."""

    mm: str
    pfns: Pages
    pins: tuple[tuple[int, int], ...]
    charged: int


class IoRing(msgspec.Struct, frozen=True):
    """io_ring_ctx. user: uid that is charged, or -1. own: pages of the ring itself charged to it."""

    user: int
    own: int
    descriptors: int = 1
    buffer: FixedBuffer | None = None


class IoUring(KernelActor):
    """The rings of one kernel. chunk: bytes that a copy moves in one step."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules, chunk: int) -> None:
        super().__init__(address, port, rules=rules)
        self.chunk = chunk
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")
        self.mm = self.at("mm")
        self.rings: Map[int, IoRing] = Map(self, "ring")
        self.numbers: Map[str, int] = Map(self, "last")
        self.locked: Map[int, int] = Map(self, "locked_vm")
        """uid -> pages of its RLIMIT_MEMLOCK in use (user_struct)."""

    @handles(SetupRing)
    def setup(self, msg: SetupRing) -> Ring:
        """io_uring_setup(); what the ring itself costs differs by era (rule uring_memlock)."""
        if self.rules.io_uring is UringSetup.ABSENT:
            return Ring(-ENOSYS)
        own = _RING_PAGES if self.rules.uring_memlock is UringMemlock.RING_TOO and msg.user >= 0 else 0
        if not self._charge_user(msg.user, own, msg.memlock):
            return Ring(-ENOMEM)
        number = self.numbers.get("ring", 0) + 1
        self.numbers["ring"] = number
        self.rings[number] = IoRing(msg.user, own)
        return Ring(number)

    @handles(RegisterBuffers)
    async def register(self, msg: RegisterBuffers) -> Status:
        """io_sqe_buffer_register(): all of the buffer or nothing. What is charged first, and so which error wins,
        differs by era (rule uring_order)."""
        ring = self.rings[msg.ring]
        if ring.buffer is not None:
            return Status(-EBUSY)
        holder = self._holder(msg.ring)
        first = self.rules.uring_order is UringOrder.CHARGE
        if first and not self._charge_user(ring.user, msg.pages, msg.memlock):
            return Status(-ENOMEM)
        got = await self._pin(msg, holder)
        error = await self._refused(msg, got)
        folios = [] if error else [await self.ask(self.memmap, ReadFolio(pfn)) for pfn, _ in got.pfns.runs]
        whole = self.rules.uring_account is UringAccount.FOLIOS and not first
        charged = _pages_to_charge(folios) if whole else msg.pages
        if not error and not first and not self._charge_user(ring.user, charged, msg.memlock):
            error = -ENOMEM
        if error:
            await self._unpin(got.pfns.runs, holder)
            if first:
                self._charge_user(ring.user, -msg.pages, 0)
            return Status(error)
        await self._charge_mm(ring, msg.mm, charged)
        pins = await self._coalesce(got.pfns, folios, holder)
        buffer = FixedBuffer(msg.mm, got.pfns, pins, charged)
        self.rings[msg.ring] = msgspec.structs.replace(self.rings[msg.ring], buffer=buffer)
        self.trace(FixedRegistered(ring=msg.ring, mm=msg.mm, pfns=got.pfns, charged=charged))
        return Status()

    @handles(UnregisterBuffers)
    async def unregister(self, msg: UnregisterBuffers) -> Status:
        """io_sqe_buffers_unregister()."""
        ring = self.rings[msg.ring]
        if ring.buffer is None:
            return Status(-ENXIO)
        self.rings[msg.ring] = msgspec.structs.replace(ring, buffer=None)
        await self._release(msg.ring, ring, ring.buffer)
        return Status()

    @handles(ReadFixed)
    async def read_fixed(self, msg: ReadFixed) -> Copied:
        """io_read() with a fixed buffer: by the kernel's own mapping of the page, no page table of the user's."""
        buffer = self.rings[msg.ring].buffer
        if buffer is None or msg.page >= len(buffer.pfns):
            return Copied(-EFAULT)
        for offset, length in chunks_of(msg.offset, msg.length, self.chunk):
            data = bytes([msg.fill]) * length
            await self.ask(self.memory, WriteMemory(buffer.pfns[msg.page], offset, data, "io_uring"))
        return Copied(0, msg.fill)

    @handles(WriteFixed)
    async def write_fixed(self, msg: WriteFixed) -> Copied:
        """io_write() with a fixed buffer."""
        buffer = self.rings[msg.ring].buffer
        if buffer is None or msg.page >= len(buffer.pfns):
            return Copied(-EFAULT)
        read = b""
        for offset, length in chunks_of(msg.offset, msg.length, self.chunk):
            piece = ReadMemory(buffer.pfns[msg.page], offset, length, "io_uring")
            read += (await self.ask(self.memory, piece)).data
        return Copied(0, read[0])

    @handles(GetRing)
    def get_ring(self, msg: GetRing) -> Done:
        """get_file()."""
        ring = self.rings[msg.ring]
        self.rings[msg.ring] = msgspec.structs.replace(ring, descriptors=ring.descriptors + 1)
        return DONE

    @handles(PutRing)
    async def put_ring(self, msg: PutRing) -> Done:
        """fput(). The last one leaves the rest to a worker, so that pins outlive the descriptor for a moment (5.7)."""
        ring = self.rings[msg.ring]
        left = ring.descriptors - 1
        self.rings[msg.ring] = msgspec.structs.replace(ring, descriptors=left)
        if not left and self.rules.uring_exit is UringExit.CLOSER:
            await self._exit_work(msg.ring)
        elif not left:
            self.start(self._exit_work(msg.ring), context=f"kworker io_ring_exit_work {msg.ring}")
        return DONE

    async def _exit_work(self, number: int) -> None:
        """io_ring_exit_work(), io_ring_ctx_free()."""
        ring = self.rings[number]
        if ring.buffer is not None:
            await self._release(number, ring, ring.buffer)
        self._charge_user(ring.user, -ring.own, 0)
        self.rings.pop(number)

    async def _pin(self, msg: RegisterBuffers, holder: str) -> UserPages:
        """io_pin_pages(). Who also wants to see the VMAs cannot use the fast form."""
        flags = int(_FLAGS | (Foll.GET if self.rules.uring_pin is UringPin.GET else Foll.PIN))
        if self.rules.uring_pin is UringPin.FAST:
            return await self.ask(msg.cpu, GetUserPagesFast(msg.mm, msg.address, msg.pages, flags, holder))
        return await self.ask(self.mm, GetUserPages(msg.mm, msg.address, msg.pages, flags, holder))

    async def _refused(self, msg: RegisterBuffers, got: UserPages) -> int:
        """0, or why the pages are given back. Rule uring_file: the mappings are looked at after the pages are pinned,
        here no longer under the same mmap lock."""
        if got.result != msg.pages:
            return min(got.result, 0) or -EFAULT
        if self.rules.uring_file is UringFile.ALLOWED:
            return 0
        shmem = self.rules.uring_file is UringFile.SHMEM
        for vma in (await self.ask(self.mm, ReadVmas(msg.mm, msg.address, msg.pages))).vmas:
            if vma.fs and not vma.hugetlb and not (shmem and vma.fs == SHMEM):
                return -EOPNOTSUPP
        return 0

    async def _coalesce(self, pages: Pages, folios: list[Folio], holder: str) -> tuple[tuple[int, int], ...]:
        """io_coalesce_buffer(): one pin for each huge page is enough, the others go back at once."""
        runs = _coalescible(pages, folios) if self.rules.uring_coalesce is not UringCoalesce.NO else None
        if runs is None or (len(runs) > 1 and self.rules.uring_coalesce is UringCoalesce.ONE_FOLIO):
            return pages.runs
        await self._unpin([(pfn, count - 1) for pfn, count in runs if count > 1], holder)
        return tuple((pfn, 1) for pfn, _ in runs)

    async def _release(self, number: int, ring: IoRing, buffer: FixedBuffer) -> None:
        """io_buffer_unmap()."""
        await self._unpin(buffer.pins, self._holder(number))
        self._charge_user(ring.user, -buffer.charged, 0)
        await self._charge_mm(ring, buffer.mm, -buffer.charged)
        self.trace(FixedReleased(ring=number, mm=buffer.mm))

    async def _unpin(self, pins: Iterable[tuple[int, int]], holder: str) -> None:
        """unpin_user_pages(), which does not mark them dirty; put_page() of what get_user_pages() gave."""
        for pfn, count in pins:
            if self.rules.uring_pin is UringPin.GET:
                await self.ask(self.memmap, PutRefs(pfn, 1, "gup", holder, pages=count))
            else:
                await self.ask(self.memmap, UnpinRefs(pfn, count, holder))

    async def _charge_mm(self, ring: IoRing, mm: str, pages: int) -> None:
        """mm->pinned_vm, which /proc shows as VmPin."""
        rule = self.rules.uring_pinned
        if rule is UringPinned.EVERYBODY or (rule is UringPinned.UNPRIVILEGED and ring.user >= 0):
            await self.ask(self.mm, ChargePinned(mm, pages))

    def _charge_user(self, user: int, pages: int, limit: int) -> bool:
        """__io_account_mem(): False beyond the limit. Who has CAP_IPC_LOCK is not charged."""
        if user < 0 or not pages:
            return True
        locked = self.locked.get(user, 0) + pages
        if pages > 0 and locked > limit:
            return False
        self.locked[user] = locked
        return True

    def _holder(self, ring: int) -> str:
        """Who holds the pins, in the ledgers of struct page."""
        return f"io_uring#{ring}"


def _pages_to_charge(folios: list[Folio]) -> int:
    """io_buffer_account_pin(): a page of a compound page costs all of it, once."""
    whole = {folio.head: folio.pages for folio in folios}
    return sum(whole.values())


def _coalescible(pages: Pages, folios: list[Folio]) -> list[tuple[int, int]] | None:
    """io_check_coalesce_buffer(): (first page, length) of each run within a folio, or None. Folios have one size; all
    but the first run start at a folio's start, all but the last end at a folio's end. folios: of each of the runs."""
    size = folios[0].pages
    runs: list[tuple[int, int]] = []
    for number, ((pfn, count), folio) in enumerate(zip(pages.runs, folios, strict=True)):
        before = folios[number - 1]
        if runs and folio.head == before.head and pfn == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
            continue
        if runs and (folio.pages != size or pfn != folio.head or sum(runs[-1]) != before.head + size):
            return None
        runs.append((pfn, count))
    return runs if size > 1 else None
