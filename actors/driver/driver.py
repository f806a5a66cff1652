"""A device driver: the one who calls get_user_pages or pin_user_pages, and who must give the pages back."""

from __future__ import annotations

from errno import EBADF, EINVAL, ENOSYS

import msgspec

from gupsim.actors.base import KernelActor, Map, Port, WaitQueue, handles
from gupsim.actors.base.port import wait
from gupsim.actors.rules.pins import DriverCall, PinApi, PinnedOnLru
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol.address import local_name
from gupsim.protocol.cpu import GetUserPagesFast
from gupsim.protocol.dma import DmaDone, Program
from gupsim.protocol.driver import (
    CloseDevice,
    DirtyPages,
    DmaResult,
    PinBuffer,
    Pinned,
    Registered,
    ReleaseBuffer,
    Released,
    ShareDevice,
    StartDma,
)
from gupsim.protocol.fabric import AddRegion, ExposeBuffer, RemoveRegion
from gupsim.protocol.fs import SetPageDirty
from gupsim.protocol.gup import GrabTimes
from gupsim.protocol.memmap import ChangeFlags, LockPage, Page, PutRefs, ReadFlags, ReadMapping, UnlockPage, UnpinRefs
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done, Status
from gupsim.protocol.mm import Foll, GetUserPages
from gupsim.protocol.pages import NO_PAGES, Pages
from gupsim.protocol.reclaim import LruRemovePinned, LruReturnUnpinned


class Registration(msgspec.Struct, frozen=True):
    """A buffer that the device may use.

    pins: taken with pin_user_pages, so unpin_user_page is the partner. write: the device may write into it. times: how
    often the driver has its one page.
    """

    handle: int
    owner: str
    pfns: Pages
    pins: bool
    write: bool
    times: int = 1


class Driver(KernelActor):
    """The driver of one device, whose DMA engine has the same name.

    It stops its device before it gives pages back, as a sound driver does: a release waits for the operations
    that are in flight on the buffer, and there are no new ones.
    """

    def __init__(self, address: str, port: Port, *, rules: KernelRules) -> None:
        super().__init__(address, port, rules=rules)
        self.name = local_name(address)
        self.dma = self.at(f"dma/{self.name.partition('/')[2]}")
        self.memmap = self.at("memmap")
        self.registrations: Map[int, Registration] = Map(self, "registration")
        self.numbers: Map[str, int] = Map(self, "last")
        self.in_flight: Map[int, int] = Map(self, "in_flight")
        """Operations that the device has not completed, by handle."""
        self.exposed: Map[int, bool] = Map(self, "exposed")
        """Registrations that other hosts may write to."""
        self.former: Map[int, Pages] = Map(self, "former")
        """Pages of registrations that are gone: the driver never clears its array of pointers."""
        self.sharers: Map[str, tuple[str, ...]] = Map(self, "sharers")
        """Owner of registrations -> processes that have its file open, if fork made them several."""
        self._completions: dict[int, tuple[int, int]] = {}
        self._idle: dict[int, WaitQueue] = {}

    @handles(PinBuffer)
    async def pin_buffer(self, msg: PinBuffer) -> Pinned:
        """Pin user pages, by the call that the author or the era chose."""
        flags = msg.flags
        if not flags & (Foll.GET | Foll.PIN):
            flags |= Foll.PIN if self.rules.driver_call is DriverCall.PIN else Foll.GET
        if flags & Foll.PIN and self.rules.pin_api is PinApi.NONE:
            return Pinned(0, -ENOSYS)
        handle = self._next("handle")
        holder = self._holder(handle)
        if msg.fast:
            fast = GetUserPagesFast(msg.mm, msg.address, msg.nr, flags, holder)
            pages = await self.ask(msg.cpu, fast)
        else:
            slow = GetUserPages(msg.mm, msg.address, msg.nr, flags, holder, msg.remote)
            pages = await self.ask(self.at("mm"), slow)
        if pages.result <= 0:
            return Pinned(0, pages.result)
        # A short count is no error (S47): what was obtained is registered, and released again as such.
        if self.rules.pinned_on_lru is PinnedOnLru.REMOVE:
            for pfn, _ in pages.pfns.runs:
                await self.ask(self.at("reclaim"), LruRemovePinned(pfn))
        pins = bool(flags & Foll.PIN)
        times = 1
        if msg.times > 1:
            more = await self.ask(self.memmap, GrabTimes(pages.pfns[0], msg.times - 1, pins, holder))
            times += more.times
        write = bool(flags & Foll.WRITE)
        self.registrations[handle] = Registration(handle, msg.owner, pages.pfns, pins, write, times)
        self.trace(Registered(self.name, handle, msg.owner, pages.pfns, pins, write))
        return Pinned(handle, times if msg.times > 1 else len(pages.pfns))

    @handles(StartDma)
    async def start_dma(self, msg: StartDma) -> DmaResult:
        """Ring the doorbell and wait for the interrupt; others may have operations in flight meanwhile."""
        registration = self.registrations.get(msg.handle)
        if registration is None or msg.page >= len(registration.pfns):
            return DmaResult(-EBADF)
        if msg.offset >= PAGE_SIZE:
            return DmaResult(-EINVAL)
        operation = self._next("operation")
        completion = self.port.reserve()
        self._completions[operation] = (completion, msg.handle)
        self.in_flight[msg.handle] = self.in_flight.get(msg.handle, 0) + 1
        self.port.waits(completion, f"the completion of DMA {operation} of {self.name}")
        self.send(
            self.dma,
            Program(
                operation,
                registration.pfns[msg.page],
                msg.offset,
                min(msg.length, PAGE_SIZE - msg.offset),
                msg.to_memory,
                msg.fill,
                self.address,
                msg.pause_for,
                registration.write,
            ),
        )
        done = await wait(completion)
        return DmaResult(done.error, done.first)

    @handles(DmaDone)
    def dma_done(self, msg: DmaDone) -> None:
        """The interrupt: wake the thread that rang the doorbell, and whoever waits for an idle device."""
        completion, handle = self._completions.pop(msg.operation)
        left = self.in_flight[handle] - 1
        self.in_flight[handle] = left
        self.port.wake(completion, msg)
        idle = self._idle.pop(handle, None) if not left else None
        if idle is not None:
            idle.wake_all()

    @handles(DirtyPages)
    async def dirty_pages(self, msg: DirtyPages) -> Status:
        """Tell the kernel that the device wrote, in one of the ways that drivers were seen to do it."""
        registration = self.registrations.get(msg.handle)
        if registration is None:
            return Status(-EBADF)
        for pfn, _ in registration.pfns.runs:
            if msg.how == "lock":
                await self._set_page_dirty_lock(pfn)
            elif msg.how == "nolock":
                await self._set_page_dirty(pfn)
            else:
                # SetPageDirty: no tag, no buffers; a sync will not find it (S06).
                await self.ask(self.memmap, ChangeFlags(pfn, set=Page.DIRTY))
        return Status()

    @handles(ExposeBuffer)
    async def expose_buffer(self, msg: ExposeBuffer) -> Status:
        """ibv_reg_mr with REMOTE_WRITE: the NIC gets the frames and tells nobody what happens to them."""
        registration = self.registrations.get(msg.handle)
        if registration is None:
            return Status(-EBADF)
        if not registration.write:
            return Status(-EINVAL)  # ib_check_mr_access(): remote writes want local ones
        self.exposed[msg.handle] = True
        return await self.ask(self.dma, AddRegion(msg.handle, registration.pfns))

    @handles(ReleaseBuffer)
    async def release_buffer(self, msg: ReleaseBuffer) -> Status:
        """Give the pages back, with the partner of the acquiring call or, on purpose, with the wrong one (S31)."""
        registration = self.registrations.pop(msg.handle)
        if registration is None:
            return Status(-EBADF)
        await self._release(registration, msg.how, dirty=msg.dirty, pages=msg.pages)
        return Status()

    @handles(CloseDevice)
    async def close_device(self, msg: CloseDevice) -> Status:
        """Files that nobody else has open are closed: everything that was registered through them goes, dirty if the
        device could write to it."""
        closed = []
        for owner in self._opened(msg.owner):
            left = tuple(process for process in self.sharers.get(owner, (owner,)) if process != msg.owner)
            if left:
                self.sharers[owner] = left
            else:
                closed.append(owner)
                self.sharers.pop(owner)
        for handle, registration in self.registrations.items():
            if registration.owner in closed and self.registrations.pop(handle) is not None:
                await self._release(registration, "match", dirty=registration.write)
        return Status()

    @handles(ShareDevice)
    def share_device(self, msg: ShareDevice) -> Done:
        """dup_fd(): the child has every file open that its parent has."""
        for owner in self._opened(msg.parent):
            self.sharers[owner] = (*self.sharers.get(owner, (owner,)), msg.child)
        return DONE

    def _opened(self, process: str) -> list[str]:
        """Owners of the files that a process has open: its own, and those that it inherited and not closed."""
        inherited = [owner for owner, who in self.sharers.items() if process in who and owner != process]
        own = process in self.sharers.get(process, (process,))
        return [process, *inherited] if own else inherited

    async def _release(self, registration: Registration, how: str, *, dirty: bool, pages: int | None = None) -> None:
        """unpin_user_pages_dirty_lock(), or set_page_dirty_lock() and put_page() for each page. pages: of so many."""
        handle = registration.handle
        if self.exposed.pop(handle):
            # First of all: afterwards other hosts would write into pages that are somebody else's.
            await self.ask(self.dma, RemoveRegion(handle))
        await self._stop_device(handle)
        unpin = registration.pins if how == "match" else how == "unpin"
        given = registration.pfns if pages is None else self._pages(registration, pages, unpin=unpin)
        for pfn, count in given.runs:
            await self.give_back(registration, pfn, count, unpin=unpin, dirty=dirty)
        self.former[handle] = registration.pfns
        self.trace(Released(driver=self.name, handle=handle, owner=registration.owner, pfns=registration.pfns, how=how))

    async def give_back(self, registration: Registration, pfn: int, count: int, *, unpin: bool, dirty: bool) -> None:
        """The release of a page, or of `count` pages of one folio."""
        holder = self._holder(registration.handle)
        if dirty and not (unpin and await self._is_dirty(pfn)):
            await self._set_page_dirty_lock(pfn)
        if self.rules.pinned_on_lru is PinnedOnLru.REMOVE:
            # Before the reference goes: afterwards the frame may be somebody else's.
            await self.ask(self.at("reclaim"), LruReturnUnpinned(pfn))
        if unpin:
            await self.ask(self.memmap, UnpinRefs(pfn, count * registration.times, holder))
        else:
            await self.ask(self.memmap, PutRefs(pfn, registration.times, "gup", holder, pages=count))

    def _pages(self, registration: Registration, count: int, *, unpin: bool) -> Pages:
        """What a driver gives back that does not look at what it got (S47): the first `count` pointers of its array,
        which still has those of earlier calls behind the ones that it got, and zeroes where there were none."""
        if count < 0:
            if unpin:
                self.warn("unpin_user_pages", f"WARN_ON(IS_ERR_VALUE(npages)): {count}")
            return NO_PAGES
        pages = registration.pfns.upto(count)
        for handle in range(registration.handle - 1, 0, -1):
            pages += (self.former.get(handle) or NO_PAGES).upto(count).after(len(pages))
        if len(pages) < count:
            where = "unpin_user_pages" if unpin else "put_page"
            self.bug(where, f"NULL pointer dereference: the array has {len(pages)} page(s) of {count}")
        return pages

    async def _stop_device(self, handle: int) -> None:
        while self.in_flight.get(handle, 0):
            if handle not in self._idle:
                self._idle[handle] = WaitQueue(self, f"DMA on registration {handle} of {self.name}")
            await self._idle[handle].sleep()
        self.in_flight.pop(handle)

    async def _is_dirty(self, pfn: int) -> bool:
        answer = await self.ask(self.memmap, ReadFlags(pfn, Page.DIRTY))
        return bool(answer.flags)

    async def _set_page_dirty_lock(self, pfn: int) -> None:
        """set_page_dirty_lock(): under the page lock the mapping cannot go away (S45)."""
        await self.ask(self.memmap, LockPage(pfn))
        await self._set_page_dirty(pfn)
        await self.ask(self.memmap, UnlockPage(pfn))

    async def _set_page_dirty(self, pfn: int) -> None:
        """set_page_dirty(): the file system's own for a page of a file, else the flag alone."""
        mapping = await self.ask(self.memmap, ReadMapping(pfn))
        if mapping.ino and not mapping.anon:
            fs = mapping.fs if mapping.fs.startswith(f"{self.host}/") else self.at(mapping.fs)
            await self.ask(fs, SetPageDirty(pfn, mapping.ino, mapping.index, self.name))
        else:
            await self.ask(self.memmap, ChangeFlags(pfn, set=Page.DIRTY))

    def _holder(self, handle: int) -> str:
        """Who holds the references, in the ledgers of struct page."""
        return f"{self.name}#{handle}"

    def _next(self, what: str) -> int:
        number = self.numbers.get(what, 0) + 1
        self.numbers[what] = number
        return number
