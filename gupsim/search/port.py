"""The search's side of one actor: every message gets a name and its hard predecessors."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any, Final

from gupsim.actors.base.footprint import COMMUTE, READ, WRITE, Recorder
from gupsim.actors.base.port import TIMED_OUT, TaskHandle
from gupsim.engine.errors import EngineError
from gupsim.engine.port import ActorPort
from gupsim.engine.task import Task
from gupsim.protocol.engine import LockContended, LockGranted, LockReleased
from gupsim.protocol.message import Message, Tracepoint

if TYPE_CHECKING:
    from gupsim.engine.core import Item
    from gupsim.search.core import ExploredCore

_NOTHING: Final = (0, 0)
_CONTENTION: Final = (LockContended, LockGranted, LockReleased)

HOP = 1
"""Virtual ns that a message takes. Latencies do not constrain a search; this one only makes time grow along causes."""


class ExploredPort(ActorPort):
    """What `ActorPort` promises, with mids for sequence numbers, so that no name depends on the order of execution.

    behind: by token, the events besides the waker and the reserver that its wake must follow (a mask), and when the
    last of them happened (ns).
    turns: by name of lock, whose turn it is.
    """

    __slots__ = ("behind", "turns")
    core: ExploredCore

    def __init__(self, core: ExploredCore, address: str, recorder: Recorder) -> None:
        super().__init__(core, address, recorder)
        self.behind: dict[int, tuple[int, int]] = {}
        self.turns: dict[str, _Turn] = {}

    @property
    def random(self) -> Random:
        # A stream for each event, not one for the actor: drawing must not make independent events dependent.
        core = self.core
        current = core.current[3]
        if core.dice is None or core.dice[0] != current:
            core.dice = (current, Random(f"{core.seed}/{self.address}/{core.names.text(current)}"))
        return core.dice[1]

    def context_of(self, item: Item) -> str:
        return item[7] or f"{self.address}<{self.core.names.text(item[3])}"

    def send(self, dst: str, message: Message, after: int | None = None, context: str = "") -> None:
        core = self.core
        rank = core.ranks.get(dst, -1)
        if rank < 0:
            raise self._nobody(dst, message)
        cause = core.current
        mid = core.new_name()
        if after is None:
            item = (cause[0] + HOP, rank, self.rank, mid, message, -1, False, context, cause[2], cause[3])
            core.post_in_turn(item, joins=True)
        else:
            # A transit time of its own takes it out of the order of its context, as in a timed run.
            item = (cause[0] + after, rank, self.rank, mid, message, -1, False, context, cause[2], cause[3])
            core.pending[mid] = (item, core.bit)

    def request(self, dst: str, message: Message, timeout: int | None = None) -> int:
        core = self.core
        rank = core.ranks.get(dst, -1)
        if rank < 0:
            raise self._nobody(dst, message)
        cause = core.current
        task = core.task
        context = task.context if task is not None else self.context_of(cause)
        mid = core.new_name()
        item = (cause[0] + HOP, rank, self.rank, mid, message, -1, True, context, cause[2], cause[3])
        if core.channels and core.channel(rank) in core.channels:
            core.post_in_turn(item, joins=False)
        else:
            core.pending[mid] = (item, core.bit)
        if timeout is not None:
            self.timed.add(mid)
            self.waits(mid, f"answer of {dst} to {type(message).__name__}")
            timer = core.names.timer(mid)
            due = cause[0] + timeout
            core.pending[timer] = (
                (due, self.rank, self.rank, timer, TIMED_OUT, mid, False, "", cause[2], cause[3]),
                core.bit,
            )
        return mid

    def reserve(self) -> int:
        return self.core.new_name()

    def wake(self, token: int, value: object = None, after: int = 0) -> None:
        if self.core.names.parents[token] != self.core.current[3]:
            # To end the wait of another event is to touch something, though no order comes of it.
            self.recorder.note("join", token, COMMUTE)
        self._wake(token, value, after)

    def _wake(self, token: int, value: object = None, after: int = 0) -> None:
        core = self.core
        if token in core.pending or token in core.bits:
            raise EngineError(f"{self.address}: token {core.names.text(token)} is answered twice, or names a request")
        cause = core.current
        due = cause[0]
        hard = core.bit
        # Which of these events comes last depends on the order of execution; the time must not.
        reserver = core.bits.get(core.names.parents[token], 0)
        if reserver and reserver != hard:
            hard |= reserver
            due = max(due, core.times[reserver.bit_length() - 1])
        if self.behind:
            before, latest = self.behind.pop(token, _NOTHING)
            if before:
                hard |= before
                due = max(due, latest)
        item = (due + after, self.rank, self.rank, token, value, token, False, "", cause[2], cause[3])
        core.pending[token] = (item, hard)

    def answer(self, item: Item, value: Any) -> None:
        core = self.core
        if type(value) not in core.answers:
            self._check_answer(item, value)
        cause = core.current
        mid = core.names.answers[item[3]] or core.names.answer(item[3])
        reply = (cause[0] + HOP, item[2], self.rank, mid, value, item[3], False, item[7], cause[2], cause[3])
        core.pending[mid] = (reply, core.bit)

    def trace(self, tracepoint: Tracepoint) -> None:
        core = self.core
        # What a replayed event shows to the relations of checkers is known.
        if core.observer is not None and self.recorder.looking:
            for about, mode in core.observer(self, tracepoint):
                core.observed[about] = core.observed.get(about, 0) | mode
        if isinstance(tracepoint, _CONTENTION):
            core.contention.append((self.address, tracepoint))
        if core.on_tracepoint is not None:
            core.on_tracepoint(self, tracepoint)
        if core.watched:
            core.tell(self, tracepoint)

    def start(self, coro: Coroutine[Any, Any, Any], context: str = "") -> TaskHandle:
        task = super().start(coro, context)
        return _Started(self, task)

    def lock_granted(self, token: int, lock: str, *, shared: bool) -> None:
        turn = self.turns.get(lock)
        if turn is None:
            turn = self.turns[lock] = _Turn()
        if not (shared and turn.shared):
            turn.before |= turn.given_back
            turn.since = max(turn.since, turn.latest)
            turn.given_back = 0
            turn.shared = shared
        if token >= 0:
            if turn.before:
                self.behind[token] = turn.before, turn.since
            self._wake(token)

    def lock_released(self, lock: str) -> None:
        turn = self.turns.get(lock)
        if turn is None:
            turn = self.turns[lock] = _Turn()
        turn.given_back |= self.core.bit
        turn.latest = max(turn.latest, self.core.current[0])

    def must_follow(self, token: int, events: int, latest: int) -> None:
        """The wake of `token` follows these events too, the last of which is at `latest` (ns)."""
        before, time = self.behind.get(token, _NOTHING)
        self.behind[token] = before | events, max(time, latest)


class _Turn:
    """Whose turn a lock is at: one exclusive holder, or the readers between two exclusive ones.

    before: the releases of all earlier turns (a mask): each grant of this turn must follow them, and no others,
    whether they came before or after its request; since: when the last of them happened (ns). given_back: the
    releases of this turn; latest: when the last of those happened so far.
    """

    __slots__ = ("before", "given_back", "latest", "shared", "since")

    def __init__(self) -> None:
        self.before = 0
        self.since = 0
        self.given_back = 0
        self.latest = 0
        self.shared = False


class _Started:
    """A context started by an actor; to look at it or to cancel it depends on how far it has come."""

    __slots__ = ("_port", "_task")

    def __init__(self, port: ExploredPort, task: TaskHandle) -> None:
        assert isinstance(task, Task)
        self._port = port
        self._task = task

    @property
    def done(self) -> bool:
        self._port.recorder.note("context", self._task.item[3], READ)
        return self._task.done

    def cancel(self) -> None:
        task = self._task
        recorder = self._port.recorder
        recorder.note("context", task.item[3], READ | WRITE)
        if task.token >= 0:
            recorder.note("token", task.token, READ | WRITE)
            task.cancel()
