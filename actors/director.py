"""The stage manager of a timed run: lets a step start, or a device finish, only after what the script says."""

from __future__ import annotations

from gupsim.actors.base import Actor, Map, Port, WaitQueue, handles
from gupsim.protocol.director import Seen, WaitFor
from gupsim.protocol.message import DONE, Done


class Director(Actor):
    """Counts how often each name was seen, and holds back whoever waits for names that were not.

    A name is the label of a step or a tracepoint. "block:checksum#2" waits for the second block:checksum.
    """

    def __init__(self, address: str, port: Port) -> None:
        super().__init__(address, port)
        self.times: Map[str, int] = Map(self, "seen")
        self._sleepers: dict[str, WaitQueue] = {}

    @handles(Seen)
    def seen(self, msg: Seen) -> None:
        """One time more; whoever waits for this name looks again."""
        self.times[msg.name] = self.times.get(msg.name, 0) + 1
        sleepers = self._sleepers.pop(msg.name, None)
        if sleepers is not None:
            sleepers.wake_all()

    @handles(WaitFor)
    async def wait_for(self, msg: WaitFor) -> Done:
        """Answered once all names were seen, in whatever order."""
        for gate in msg.names:
            name, _, number = gate.partition("#")
            while self.times.get(name, 0) < int(number or 1):
                if name not in self._sleepers:
                    self._sleepers[name] = WaitQueue(self, f"the script's {gate}")
                await self._sleepers[name].sleep()
        return DONE
