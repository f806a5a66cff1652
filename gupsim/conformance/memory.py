"""Operations on memory and processes, as steps of the model. Each method has the name of its operation."""

from __future__ import annotations

from typing import Any, Final

from gupsim.conformance import says
from gupsim.conformance import vocabulary as v
from gupsim.conformance.errors import Unsupported
from gupsim.conformance.names import Object, fresh
from gupsim.conformance.program import Action, Join
from gupsim.conformance.translation import Translation
from gupsim.protocol import steps
from gupsim.protocol.memory import PAGE_SIZE
from gupsim.protocol.steps import AnyStep

_SPACING: Final = 1 << 30
"""Mappings are 1 GiB apart."""

_HUGE: Final = 9
"""Order of a huge page."""

_KINDS: Final = {
    "anon-private": False,
    "anon-shared": True,
    "thp": False,
    "hugetlb": False,
    "hugetlb-shared": True,
    "file-shared": True,
    "file-private": False,
    "memfd-shared": True,
    "memfd-private": False,
}
"""Each kind, and whether it is shared."""

_NO_SUCH_KIND: Final = {
    "dax-shared": "there is no DAX",
    "dax-private": "there is no DAX",
}
_ADVICE: Final = {
    "DONTNEED", "DONTFORK", "DOFORK", "HUGEPAGE", "NOHUGEPAGE", "WIPEONFORK", "PAGEOUT", "POPULATE_READ",
    "POPULATE_WRITE", "COLLAPSE", "FREE",
}  # fmt: skip


class MemoryOperations(Translation):
    """What a process does with its own memory, and with other processes."""

    def map(self, args: v.Map) -> Action:
        if args.kind not in _KINDS:
            raise Unsupported(f"map: kind {args.kind}: {_NO_SUCH_KIND.get(args.kind, 'no such kind is known')}")
        if args.prot == "w":
            raise Unsupported("map: prot w: no mapping can be written and not read")
        if not args.hugepage and args.kind != "thp":
            raise Unsupported(f"map: hugepage has no meaning for kind {args.kind}")
        found = Object()
        if args.kind.startswith(("file", "memfd")):
            if args.obj is None:
                raise self.wrong(f"kind {args.kind} needs an obj")
            found = self.object(args.obj)
            if (bool(found.memfd) or found.shmem) is not args.kind.startswith("memfd"):
                raise self.wrong(f"{args.obj!r} cannot be mapped as {args.kind}")
        hugetlb = args.kind.startswith("hugetlb") or bool(found.memfd)
        mapping = steps.Mmap(
            name=args.name,
            pages=args.pages,
            file=found.file,
            offset=args.offset,
            prot=args.prot,
            shared=_KINDS[args.kind],
            align=_SPACING,
            hugetlb=_HUGE if hugetlb else 0,
            memfd=found.memfd,
        )
        made: list[AnyStep] = [mapping]
        huge = hugetlb or (args.kind == "thp" and args.hugepage)
        known = fresh(args.pages, huge=huge, hugetlb=hugetlb)
        known.shmem = found.shmem or args.kind == "anon-shared"
        if args.kind == "thp":
            made.append(steps.Madvise(map=args.name, advice="hugepage" if args.hugepage else "nohugepage"))
        if args.fill is not None:
            if "w" not in args.prot:
                raise Unsupported("map: fill of a mapping that cannot be written")
            made.append(steps.Store(map=args.name, length=args.pages * PAGE_SIZE, value=args.fill))
            known.write(0, args.pages)
        self.here.maps[args.name] = known
        self.uses(args.pages)
        return self.played(*made, says=says.plain)

    def unmap(self, args: v.Range) -> Action:
        self.pages_of(args)
        return self.played(steps.Munmap(map=args.map, page=args.page, pages=args.pages), says=says.plain)

    def write(self, args: v.Write) -> Action:
        self.mapping(args.map).write(args.page)
        store = steps.Store(map=args.map, page=args.page, length=args.len, value=args.val)
        return self.played(store, says=says.plain)

    def read(self, args: v.Place) -> Action:
        self.mapping(args.map).read(args.page)
        return self.played(steps.Load(map=args.map, page=args.page, length=1), says=says.number)

    def protect(self, args: v.Protect) -> Action:
        self.pages_of(args)
        if args.prot == "w":
            raise Unsupported("protect: prot w: no mapping can be written and not read")
        step = steps.Mprotect(map=args.map, page=args.page, pages=args.pages, prot=args.prot)
        return self.played(step, says=says.plain)

    def madvise(self, args: v.Madvise) -> Action:
        pages = self.pages_of(args)
        mapping = self.mapping(args.map)
        if args.advice == "PAGEOUT" and mapping.huge and pages < mapping.pages:
            raise Unsupported("madvise: PAGEOUT of a part of huge pages")
        if args.advice == "PAGEOUT" and mapping.shmem:
            raise Unsupported("madvise: PAGEOUT of shmem, which is not reclaimed")
        if args.advice not in _ADVICE:
            raise Unsupported(f"madvise: nobody takes the advice {args.advice}")
        if args.advice in ("HUGEPAGE", "NOHUGEPAGE"):
            mapping.huge = args.advice == "HUGEPAGE"
        elif args.advice == "DONTNEED":
            mapping.zap(args.page, pages)
        elif args.advice == "POPULATE_READ":
            mapping.read(args.page, pages)
        elif args.advice in ("POPULATE_WRITE", "COLLAPSE"):
            mapping.write(args.page, pages)
        advice: Any = args.advice.lower()
        step = steps.Madvise(map=args.map, page=args.page, pages=args.pages, advice=advice)
        return self.played(step, says=says.plain)

    def mremap(self, args: v.Mremap) -> Action:
        pages = self.pages_of(args)
        old = self.mapping(args.map)
        if old.huge:
            raise Unsupported("mremap: of huge pages, which the kernel moves whole")
        name = args.name or args.map
        moved = old.copy()
        moved.pages = pages
        self.here.maps[name] = moved
        return self.played(steps.Mremap(map=args.map, page=args.page, pages=args.pages, name=name), says=says.plain)

    def msync(self, args: v.Range) -> Action:
        self.pages_of(args)
        return self.played(steps.Msync(map=args.map, page=args.page, pages=args.pages), says=says.plain)

    def mincore(self, args: v.Range) -> Action:
        self.pages_of(args)
        return self.played(steps.Mincore(map=args.map, page=args.page, pages=args.pages), says=says.numbers)

    def migrate(self, args: v.Place) -> Action:
        self.mapping(args.map)
        return self.played(steps.Migrate(map=args.map, page=args.page), says=says.migrated)

    def fork(self, args: v.Fork) -> Action:
        if args.child in self.names:
            raise self.wrong(f"there is a process {args.child!r} already")
        self.names[args.child] = self.here.copy()
        self.actors[args.child] = f"p{len(self.actors)}"
        self.steps[args.child] = []
        return self.played(steps.Fork(child=self.actors[args.child]), says=says.plain)

    def exit(self, args: v.NoArgs) -> Action:
        self.gone.add(self.process)
        return self.played(steps.Exit(), says=says.plain)

    def join(self, args: v.Join) -> Action:
        return Join(self.process)

    def memlock(self, args: v.Memlock) -> Action:
        return self.played(steps.Setrlimit(memlock=args.pages), says=says.plain)

    def drop_priv(self, args: v.NoArgs) -> Action:
        return self.played(steps.Setuid(uid=65534), says=says.plain)

    def settle(self, args: v.Settle) -> Action:
        return self.played(steps.Wait(time=f"{args.ms}ms"), says=says.plain)

    def pvm(self, args: v.Pvm) -> Action:
        pages = self.pages_of(args)
        target = self.actors.get(args.target)
        if target is None:
            raise self.wrong(f"no process {args.target!r} was forked before")
        theirs = self.names[args.target].maps.get(args.map)
        if theirs is not None:
            (theirs.write if args.dir == "write" else theirs.read)(args.page, pages)
        step = steps.ProcessVm(dir=args.dir, target=target, map=args.map, page=args.page, pages=pages, value=args.val)
        return self.played(step, says=says.moved)
