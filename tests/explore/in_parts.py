"""Searches a program in parts, in any order, in this process."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec

from gupsim.explore.jobs import Work, run_job
from gupsim.explore.subject import ProgramSubject, program_of
from gupsim.explore.tree import Branch, Tree
from gupsim.explore.wire import Answer, Unpacker
from gupsim.search import Dpor, Runs


def program(name: str, *values: object) -> ProgramSubject:
    """A program of `gupsim.search.programs`."""
    return ProgramSubject(f"gupsim.search.programs:{name}", values)


def traces_in_parts(subject: ProgramSubject, *, budget: int, seed: int, window: int = 4) -> Counter[bytes]:
    """How often each trace is explored if the parts are given out and taken back in a random order."""
    random = Random(seed)
    tree = Tree()
    traces: Counter[bytes] = Counter()
    under_way: list[tuple[list[Branch], bytes]] = []
    while True:
        planned = tree.planned()
        while planned and len(under_way) < window:
            leaves = [planned.pop(random.randrange(len(planned))) for _ in range(random.randint(1, len(planned)))][:3]
            job = tree.job(subject, leaves, budget, [])
            under_way.append((leaves, run_job(msgspec.msgpack.encode(Work(job=job)))))
            planned = tree.planned()
        if not under_way:
            assert tree.finished == 1
            return traces
        leaves, encoded = under_way.pop(random.randrange(len(under_way)))
        answer = msgspec.msgpack.decode(encoded, type=Answer)
        assert not answer.error, answer.error
        tables = Unpacker(answer.tables, tree.names, tree.objects)
        for leaf, part in zip(leaves, answer.parts, strict=True):
            assert not part.blocked
            tree.take(leaf, part, tables)
            traces.update(part.traces[start : start + 8] for start in range(0, len(part.traces), 8))


def number_of_traces(subject: ProgramSubject, limit: int) -> int:
    """How many there are, by one search in one process; more than `limit` are not counted."""
    for number, _ in enumerate(Dpor().executions(Runs(program_of(subject))), start=1):
        if number > limit:
            return number
    return number
