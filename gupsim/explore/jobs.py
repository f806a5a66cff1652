"""What a worker process runs: one job, bytes to bytes."""

from __future__ import annotations

import threading
from itertools import chain

import msgspec

from gupsim.explore.part import PartialDpor, note
from gupsim.explore.seen import looker
from gupsim.explore.subject import Subject, program_of
from gupsim.explore.tally import enough
from gupsim.explore.wire import Answer, Draw, Found, Job, OrderObjects, Packer, Part, Tables
from gupsim.search.dfs import Dfs
from gupsim.search.pct import ChainPriorities
from gupsim.search.pos import PartialOrderSampling
from gupsim.search.runs import Runs
from gupsim.search.strategy import Strategy
from gupsim.search.walk import RandomWalk


class Work(msgspec.Struct, array_like=True):
    """One of the two."""

    job: Job | None = None
    draw: Draw | None = None


_decoder = msgspec.msgpack.Decoder(Work)


def run_job(work: bytes) -> bytes:
    """Work off one job. Takes and gives MessagePack, so that nothing of ours is ever pickled."""
    try:
        wanted = _decoder.decode(work)
        if wanted.job is not None:
            answer = _searcher(wanted.job.subject).work(wanted.job)
        else:
            assert wanted.draw is not None
            answer = _drawn(wanted.draw)
    except Exception as error:  # noqa: BLE001 - the other side has to say it; a pickled exception would not do
        _mine.searcher = None  # in the middle of something
        answer = Answer(Tables(), [], f"{type(error).__name__}: {error}")
    return msgspec.msgpack.encode(answer)


def strategy_of(name: str, seed: int) -> Strategy:
    """A strategy by its name on the command line; dpor aside, which comes in parts."""
    if name == "dfs":
        return Dfs()
    if name == "random":
        return RandomWalk(seed)
    if name == "pos":
        return PartialOrderSampling(seed)
    return ChainPriorities(seed)


class _Mine(threading.local):
    """What a thread keeps for the next job: the workers of a cluster may have several threads."""

    subject = b""
    searcher: PartialDpor | None = None


_mine = _Mine()


def _searcher(subject: Subject) -> PartialDpor:
    # What was learnt about names and footprints serves the next job. It changes no result.
    encoded = msgspec.msgpack.encode(subject)
    if _mine.searcher is None or _mine.subject != encoded:
        _mine.searcher, _mine.subject = PartialDpor(subject), encoded
    return _mine.searcher


def _drawn(draw: Draw) -> Answer:
    """So many executions of a random strategy that begins anew: the draw decides all of them. The first draw begins
    with what the scenario's script shows."""
    strategy = strategy_of(draw.strategy, draw.seed + (draw.number << 64))
    runs = Runs(program_of(draw.subject))
    packer = Packer(runs.names, OrderObjects(runs.order, runs.names))
    part = Part(found=[])
    found: dict[str, Found] = {}
    wanted = frozenset(draw.wanted)
    look = looker(draw.subject)
    scripted = runs.scripted() if not draw.number else None
    for execution in chain([] if scripted is None else [scripted], strategy.executions(runs)):
        note(execution, part.executions, found, packer)
        look(execution, part.outcomes)
        part.executions += 1
        part.cut += execution.cut
        part.events += len(execution.schedule)
        part.depth = max(part.depth, len(execution.schedule))
        if part.executions >= draw.executions or enough(wanted, found):
            break
    part.found = list(found.values())
    return Answer(packer.tables, [part], promise=strategy.promise())
