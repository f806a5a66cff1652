"""Operations on files, and those that let a device or another part of the kernel use a process's memory."""

from __future__ import annotations

from typing import Final, Literal

from gupsim.conformance import says
from gupsim.conformance import vocabulary as v
from gupsim.conformance.errors import Unsupported
from gupsim.conformance.names import Object
from gupsim.conformance.program import Action, Finish, Hold
from gupsim.conformance.translation import Translation
from gupsim.protocol import steps
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.steps import AnyStep

SCRATCH: Final = "scratch buffer"
"""Mapping for reads that go to the disk directly. No name of a case: those have no blanks."""

_HUGE: Final = 512
"""Pages of a huge page."""

_PIPE_SLOTS: Final = 16
_LARGEST_DIRECT: Final = 256
"""Pages of one step of that name."""

_NO_SUCH_TYPE: Final = {
    "dax": "there is no DAX",
}


class TransferOperations(Translation):
    """Each method has the name of its operation."""

    def open(self, args: v.Open) -> Action:
        if args.type == "hugetlb-memfd":
            return self._huge_memfd(args)
        if args.type == "memfd":
            return self._memfd(args)
        if args.type != "file":
            raise Unsupported(f"open: type {args.type}: {_NO_SUCH_TYPE.get(args.type, 'no such type is known')}")
        if args.chunk > 1 and args.pages > 1:
            raise Unsupported("open: chunk > 1: the page cache has no large folios")
        file = f"file{len(self.files)}"
        self.here.objects[args.name] = Object(file)
        self.files.append((file, 0 if args.fill is not None else args.pages))
        self.uses(args.pages, blocks=args.pages)
        made: list[AnyStep] = []
        if args.fill is not None:
            made += self.writes(file, 0, args.pages, args.fill)
        return self.played(*made, steps.Fsync(file=file), says=says.ok)

    def fallocate(self, args: v.Fallocate) -> Action:
        memfd = self.object(args.obj).memfd
        if args.mode not in ("punch", "zero"):
            raise Unsupported(f"fallocate: no file system can {args.mode} a range")
        if not memfd:
            mode: Literal["punch", "zero"] = "punch" if args.mode == "punch" else "zero"
            step = steps.Fallocate(file=self.file(args.obj), mode=mode, page=args.page, pages=args.pages)
            return self.played(step, says=says.plain)
        if args.mode != "punch":
            raise Unsupported("fallocate: huge pages can be punched out, and nothing else")
        if args.page % _HUGE or args.pages % _HUGE:
            raise Unsupported("fallocate: of a part of a huge page")
        return self.played(steps.PunchHole(memfd=memfd, page=args.page, pages=args.pages), says=says.plain)

    def truncate(self, args: v.Truncate) -> Action:
        step = steps.Truncate(file=self.file(args.obj), pages=args.pages)
        return self.played(step, says=says.plain)

    def seal(self, args: v.Seal) -> Action:
        if not self.object(args.obj).shmem:
            raise self.wrong(f"{args.obj!r} cannot be sealed")
        step = steps.Seal(file=self.file(args.obj), seals=(args.seals,))
        return self.played(step, says=says.plain)

    def pin(self, args: v.Pin) -> Action:
        pages = self.pages_of(args)
        mapping = self.mapping(args.map)
        self.here.pins.add(args.name)
        if args.how == "uring":
            mapping.write(args.page, pages)
            ring = steps.RegisterBuffers(name=args.name, map=args.map, page=args.page, pages=pages)
            return self.played(ring, says=says.plain)
        if args.how != "vmsplice":
            raise Unsupported(f"pin: how {args.how}: no such pin is known")
        if pages > _PIPE_SLOTS:
            raise Unsupported(f"pin: a pipe holds {_PIPE_SLOTS} pages")
        mapping.read(args.page, pages)
        return self.played(steps.Vmsplice(name=args.name, map=args.map, page=args.page, pages=pages), says=says.moved)

    def unpin(self, args: v.Pinned) -> Action:
        return self.played(steps.Unpin(pin=self.pinned(args.pin)), says=says.plain)

    def dma_write(self, args: v.DmaWrite) -> Action:
        step = steps.DmaWrite(pin=self.pinned(args.pin), page=args.page, length=args.len, value=args.val)
        return self.played(step, says=says.plain)

    def dma_read(self, args: v.DmaRead) -> Action:
        step = steps.DmaRead(pin=self.pinned(args.pin), page=args.page, length=1)
        return self.played(step, says=says.number)

    def pipe_read(self, args: v.PipeRead) -> Action:
        return self.played(steps.PipeRead(pin=self.pinned(args.pin), pages=args.pages), says=says.numbers)

    def direct_io(self, args: v.DirectIo) -> Action:
        if self.object(args.obj).shmem:
            raise Unsupported("direct_io: of a memfd")
        if args.pages > _LARGEST_DIRECT:
            raise Unsupported(f"direct_io: at most {_LARGEST_DIRECT} pages at a time")
        self.uses(0, blocks=args.obj_page + args.pages)
        step = steps.DirectIo(
            file=self.file(args.obj),
            map=args.map,
            page=args.page,
            pages=args.pages,
            file_page=args.obj_page,
            dir=args.dir,
            fast=True,
        )
        self._touched_by_device(args.map, args.page, args.pages, args.dir)
        return self.played(step, says=says.moved)

    def hold_start(self, args: v.HoldStart) -> Action:
        if args.via not in ("loop", "fuse"):
            raise Unsupported(f"hold_start: via {args.via}: no such way is known")
        if args.name in self.holds:
            raise self.wrong(f"{args.name!r} is in flight already")
        self._touched_by_device(args.map, args.page, 1, args.dir)
        file = f"hold{self.held}"
        io = steps.DirectIo(dir=args.dir, file=file, map=args.map, page=args.page, fast=True)
        hold = Hold(self.process, self.add(io))
        self.holds[args.name] = (hold, file, args.dir == "read")
        self.held += 1
        return hold

    def hold_finish(self, args: v.HoldFinish) -> Action:
        if args.hold not in self.holds:
            raise self.wrong(f"nothing was started as {args.hold!r}, or it is finished")
        hold, file, read = self.holds.pop(args.hold)
        number = self.add(steps.Serve(disk=f"disk-{file}", value=args.val))
        return Finish(self.process, number, hold, read)

    def file_write(self, args: v.FileWrite) -> Action:
        self.uses(args.pages, blocks=args.page + args.pages)
        return self.played(*self.writes(self.file(args.obj), args.page, args.pages, args.val), says=says.ok)

    def file_read(self, args: v.FileRead) -> Action:
        file = self.file(args.obj)
        if self.object(args.obj).shmem and args.direct:
            raise Unsupported("file_read: direct, of a memfd")
        if not args.direct:
            return self.played(steps.Read(file=file, offset=args.page * PAGE_SIZE), says=says.number)
        read = steps.DirectIo(dir="read", file=file, map=SCRATCH, file_page=args.page, fast=True)
        return self.played(read, steps.Load(map=SCRATCH, length=1), says=says.direct)

    def fsync(self, args: v.Object) -> Action:
        return self.played(steps.Fsync(file=self.file(args.obj)), says=says.plain)

    def sync_range(self, args: v.Object) -> Action:
        return self.played(steps.SyncFileRange(file=self.file(args.obj)), says=says.plain)

    def drop(self, args: v.Object) -> Action:
        return self.played(steps.Fadvise(file=self.file(args.obj)), says=says.ok)

    def _memfd(self, args: v.Open) -> Action:
        """Its pages come one by one however it is written, as without the mount option huge=."""
        file = f"memfd{len(self.memfds)}"
        self.here.objects[args.name] = Object(file, shmem=True)
        self.memfds.append((file, args.pages))
        self.uses(args.pages)
        made = self.writes(file, 0, args.pages, args.fill) if args.fill is not None else []
        return self.played(*made, steps.Wait(time="0ns"), says=says.ok)

    def _huge_memfd(self, args: v.Open) -> Action:
        if args.fill is not None:
            raise Unsupported("open: fill of a memfd of huge pages, which cannot be written to")
        self.huge_memfds += 1
        self.here.objects[args.name] = Object(memfd=self.huge_memfds)
        self.uses(args.pages)
        return self.played(steps.Wait(time="0ns"), says=says.plain)

    def _touched_by_device(self, name: str, page: int, pages: int, way: v.Direction) -> None:
        """A read of the disk writes memory, and the other way round."""
        mapping = self.mapping(name)
        (mapping.write if way == "read" else mapping.read)(page, pages)
