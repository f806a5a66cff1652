"""Pipes: a vmspliced page stays in the pipe by a plain reference until somebody reads it."""

from __future__ import annotations

from typing import Final

import msgspec

from gupsim.actors.base import KernelActor, Map, Port, chunks_of, handles
from gupsim.actors.rules.rules import KernelRules
from gupsim.protocol.cpu import GetUserPagesFast
from gupsim.protocol.memmap import PutRefs
from gupsim.protocol.memory import PAGE_SIZE, ReadMemory
from gupsim.protocol.message import DONE, Done
from gupsim.protocol.mm import Foll
from gupsim.protocol.pages import Pages
from gupsim.protocol.pipe import (
    GetPipe,
    MakePipe,
    Pipe,
    PipeBytes,
    PipeDrained,
    PipeFilled,
    PutPipe,
    ReadPipe,
    Spliced,
    Vmsplice,
)

SLOTS: Final = 16
"""PIPE_DEF_BUFFERS: so many pages fit into a pipe."""


class PipeInode(msgspec.Struct, frozen=True):
    """pipe_inode_info. users: tasks that have its ends open; pfns: what is in it, the oldest first."""

    users: int = 1
    pfns: tuple[int, ...] = ()


class Pipes(KernelActor):
    """The pipes of one kernel. Nobody waits at one: a full pipe takes a short count, an empty one gives nothing.

    chunk: bytes that a copy moves in one step."""

    def __init__(self, address: str, port: Port, *, rules: KernelRules, chunk: int) -> None:
        super().__init__(address, port, rules=rules)
        self.chunk = chunk
        self.memmap = self.at("memmap")
        self.memory = self.at("memory")
        self.pipes: Map[int, PipeInode] = Map(self, "pipe")
        self.numbers: Map[str, int] = Map(self, "last")

    @handles(MakePipe)
    def make_pipe(self, msg: MakePipe) -> Pipe:
        """alloc_pipe_info()."""
        number = self.numbers.get("pipe", 0) + 1
        self.numbers["pipe"] = number
        self.pipes[number] = PipeInode()
        return Pipe(number)

    @handles(Vmsplice)
    async def vmsplice(self, msg: Vmsplice) -> Spliced:
        """iter_to_pipe(): FOLL_GET for reading; what was obtained before an error is in the pipe, and counts."""
        room = min(msg.pages, SLOTS - len(self.pipes[msg.pipe].pfns))
        done = error = 0
        while done < room and not error:
            address = msg.address + done * PAGE_SIZE
            call = GetUserPagesFast(msg.mm, address, room - done, Foll.GET, self._holder(msg.pipe))
            got = await self.ask(msg.cpu, call)
            error = min(got.result, 0)
            if got.pfns:
                pipe = self.pipes[msg.pipe]
                self.pipes[msg.pipe] = msgspec.structs.replace(pipe, pfns=(*pipe.pfns, *got.pfns))
                self.trace(PipeFilled(pipe=msg.pipe, mm=msg.mm, pfns=got.pfns))
            done += len(got.pfns)
        return Spliced(done * PAGE_SIZE or error)

    @handles(ReadPipe)
    async def read_pipe(self, msg: ReadPipe) -> PipeBytes:
        """pipe_read(): copy, then pipe_buf_release()."""
        first: list[int] = []
        while len(first) < msg.pages and self.pipes[msg.pipe].pfns:
            pipe = self.pipes[msg.pipe]
            pfn, *rest = pipe.pfns
            self.pipes[msg.pipe] = msgspec.structs.replace(pipe, pfns=tuple(rest))
            page = b""
            for offset, length in chunks_of(0, PAGE_SIZE, self.chunk):
                page += (await self.ask(self.memory, ReadMemory(pfn, offset, length, "pipe"))).data
            first.append(page[0])
            await self._put(msg.pipe, (pfn,), "read")
        return PipeBytes(tuple(first))

    @handles(GetPipe)
    def get_pipe(self, msg: GetPipe) -> Done:
        """get_file() of both ends."""
        pipe = self.pipes[msg.pipe]
        self.pipes[msg.pipe] = msgspec.structs.replace(pipe, users=pipe.users + 1)
        return DONE

    @handles(PutPipe)
    async def put_pipe(self, msg: PutPipe) -> Done:
        """pipe_release(), and for the last one free_pipe_info()."""
        pipe = self.pipes[msg.pipe]
        if pipe.users > 1:
            self.pipes[msg.pipe] = msgspec.structs.replace(pipe, users=pipe.users - 1)
        else:
            self.pipes.pop(msg.pipe)
            await self._put(msg.pipe, pipe.pfns, "close")
        return DONE

    async def _put(self, number: int, pfns: tuple[int, ...], why: str) -> None:
        for pfn in pfns:
            await self.ask(self.memmap, PutRefs(pfn, 1, "gup", self._holder(number)))
        if pfns:
            self.trace(PipeDrained(pipe=number, pfns=Pages.of(pfns), why=why))

    def _holder(self, number: int) -> str:
        """Who holds the references, in the ledgers of struct page."""
        return f"pipe#{number}"
