"""Records wait for the coordinator, but not without bounds."""

import asyncio

import msgspec
import pytest

from gupsim.cluster.errors import PeerLost
from gupsim.cluster.outlet import Outlet
from gupsim.protocol.node import Part


def part(number: int, size: int = 100) -> Part:
    return Part(number, 1, b"p" * 8, b"", msgspec.Raw(b"\x91" + b"r" * size))


async def test_a_node_waits_while_the_coordinator_is_behind_and_goes_on_when_it_has_caught_up() -> None:
    outlet = Outlet(-1, limit=250)
    for number in range(3):
        outlet.put(part(number), 1, 0.0)
    waiting = asyncio.create_task(outlet.room(30))
    await asyncio.sleep(0)
    assert not waiting.done()
    outlet.keep(1)
    await waiting
    assert outlet.size == 109
    assert outlet.stalls == 1


async def test_a_coordinator_that_is_gone_for_good_is_said() -> None:
    outlet = Outlet(-1, limit=10)
    outlet.put(part(0), 1, 0.0)
    with pytest.raises(PeerLost, match=r"the coordinator has taken no records.*cluster resume"):
        await outlet.room(0.01)


async def test_rounds_that_the_coordinator_holds_are_not_kept_again() -> None:
    outlet = Outlet(5)
    for number in range(8):
        outlet.put(part(number), 1, 0.0)
    assert outlet.size == 2 * 109
    assert outlet.upto == 7
