"""Calls that concern another task: what a child has of its parent beside memory and devices, process_vm_readv(2)."""

from __future__ import annotations

from errno import EFAULT, EPERM
from typing import Final

from gupsim.actors.base import Entity, Field, Fifo, Map, Port, chunks_of, handles
from gupsim.actors.process.devices import DeviceCalls
from gupsim.actors.process.spec import ProcessSpec
from gupsim.actors.process.wording import NO_SUCH_MAP, OK, outcome
from gupsim.actors.rules.pins import ProcessVm
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol import fs, memmap, memory, pipe, steps, uring
from gupsim.protocol.memmap import Page
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.mm import Foll, GetUserPages
from gupsim.protocol.pages import Pages
from gupsim.protocol.process import CopyTask, FindMapping, Place

_BATCH: Final = 1024
"""Pages that process_vm_readv() pins at a time: PVM_MAX_KMALLOC_PAGES of pointers."""

ROOT: Final = -1
"""In place of a uid: a task with all capabilities."""


class Credentials(Entity):
    """Limits and rights of a task. changed: they are other than at boot."""

    memlock = Field(2048)
    """RLIMIT_MEMLOCK in pages: 8 MiB is the kernel's default."""
    uid = Field(ROOT)
    changed = Field(default=False)


class TaskCalls(DeviceCalls):
    """A child shares the open files of its parent, and has its rights and limits."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules, spec: ProcessSpec, chunk: int) -> None:
        super().__init__(address, port, rules=rules, spec=spec, chunk=chunk)
        self.credentials = Credentials(self, f"credentials of {spec.name}")
        self.rings: Map[str, int] = Map(self, "name of a ring")
        self.pipes: Map[str, int] = Map(self, "name of a pipe")
        self.open_files: Fifo[tuple[str, int], bool] = Fifo(self, "open file")
        """("ring" or "pipe", number): what exit_files() closes."""

    async def share_files(self, child: str) -> None:
        """dup_fd() of rings and pipes, copy_creds(), and the resource limits. Nothing is said if there is nothing."""
        credentials = self.credentials
        if not len(self.open_files) and not credentials.changed:
            return
        for kind, number in self.open_files:
            if kind == "ring":
                await self.ask(self.at("io_uring"), uring.GetRing(number))
            else:
                await self.ask(self.at("pipe"), pipe.GetPipe(number))
        task = CopyTask(
            rings=tuple(self.rings.items()),
            pipes=tuple(self.pipes.items()),
            files=tuple(self.open_files),
            memlock=credentials.memlock,
            uid=credentials.uid,
        )
        await self.ask(self.at(f"process/{child}"), task)

    @handles(CopyTask)
    def copy_task(self, msg: CopyTask) -> Done:
        """A child begins with the names that its parent had at this moment."""
        for name, number in msg.rings:
            self.rings[name] = number
        for name, number in msg.pipes:
            self.pipes[name] = number
        for kind, number in msg.files:
            self.open_files[kind, number] = True
        self._change_credentials(msg.memlock, msg.uid)
        return DONE

    @handles(FindMapping)
    def find_mapping(self, msg: FindMapping) -> Place:
        """/proc/PID/maps, by the program's own names."""
        mapping = self.maps.get(msg.map)
        return Place(self.spec.name, -1 if mapping is None else mapping.address + msg.page * PAGE_SIZE)

    async def setrlimit(self, step: steps.Setrlimit) -> str:
        """setrlimit(RLIMIT_MEMLOCK)."""
        self._change_credentials(step.memlock, self.credentials.uid)
        return OK

    async def setuid(self, step: steps.Setuid) -> str:
        """setuid(): all capabilities are gone."""
        self._change_credentials(self.credentials.memlock, step.uid)
        return OK

    async def process_vm(self, step: steps.ProcessVm) -> str:
        """process_vm_rw(): bytes moved, for a read with the first byte; an errno only if nothing was moved."""
        mapping = self.maps.get(step.map)
        if mapping is None:
            return NO_SUCH_MAP
        if self.credentials.uid != ROOT and step.target != self.spec.name:
            return outcome(-EPERM)  # ptrace_may_access(): a task that gave up root may look at nobody else
        address = mapping.address + step.page * PAGE_SIZE
        write = step.dir == "write"
        pins = self.rules.process_vm is ProcessVm.PIN
        flags = (Foll.PIN if pins else Foll.GET) | (Foll.WRITE if write else Foll(0))
        holder = f"process_vm of {self.spec.name}"
        done, first, failed = 0, "", False
        while done < step.pages and not failed:
            batch = min(_BATCH, step.pages - done)
            call = GetUserPages(step.target, address + done * PAGE_SIZE, batch, int(flags), holder, remote=True)
            got = await self.ask(self.mm, call)
            for pfn in got.pfns:
                if not write:
                    byte = await self._copy_from(pfn)
                    first = first or str(byte)
                    continue
                await self._copy_to(pfn, step.value)
                if not pins:
                    await self._set_page_dirty_lock(pfn, holder)  # at once, and also if it is dirty already
            await self._release(got.pfns, holder, pins=pins, dirty=write)
            done += len(got.pfns)
            failed = got.result <= 0
        if not done:
            return outcome(-EFAULT)  # process_vm_rw_single_vec(), whatever the errno was
        return f"{done * PAGE_SIZE} {first}".rstrip()

    def _change_credentials(self, memlock: int, uid: int) -> None:
        self.credentials.memlock = memlock
        self.credentials.uid = uid
        self.credentials.changed = True

    async def _copy_to(self, pfn: int, value: int) -> None:
        """copy_page_from_iter()."""
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            data = bytes([value]) * length
            await self.ask(self.at("memory"), memory.WriteMemory(pfn, offset, data, self.spec.name))

    async def _copy_from(self, pfn: int) -> int:
        """copy_page_to_iter(); its first byte."""
        seen = b""
        for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
            read = memory.ReadMemory(pfn, offset, length, self.spec.name)
            seen = seen or (await self.ask(self.at("memory"), read)).data
        return seen[0]

    async def _release(self, pages: Pages, holder: str, *, pins: bool, dirty: bool) -> None:
        """unpin_user_pages_dirty_lock(), which marks only what is clean; or put_page(), the last page first."""
        kernel = self.at("memmap")
        if not pins:
            for pfn, count in reversed(pages.runs):
                await self.ask(kernel, memmap.PutRefs(pfn, 1, "gup", holder, pages=count))
            return
        for pfn, count in pages.runs:
            if dirty and not (await self.ask(kernel, memmap.ReadFlags(pfn, Page.DIRTY))).flags:
                await self._set_page_dirty_lock(pfn, holder)
            await self.ask(kernel, memmap.UnpinRefs(pfn, count, holder))

    async def _set_page_dirty_lock(self, pfn: int, holder: str) -> None:
        """set_page_dirty_lock()."""
        kernel = self.at("memmap")
        await self.ask(kernel, memmap.LockPage(pfn))
        mapping = await self.ask(kernel, memmap.ReadMapping(pfn))
        if mapping.ino and not mapping.anon:
            await self.ask(mapping.fs, fs.SetPageDirty(pfn, mapping.ino, mapping.index, holder))
        else:
            await self.ask(kernel, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        await self.ask(kernel, memmap.UnlockPage(pfn))
