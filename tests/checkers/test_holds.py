"""From when to when a device holds a page."""

from __future__ import annotations

from gupsim.checkers.holds import Holds
from gupsim.protocol.driver import Registered, Released
from gupsim.protocol.memmap import PageFlags
from gupsim.protocol.pages import Pages
from tests.checkers.history import History


def test_a_hold_counts_from_its_registration_to_its_release() -> None:
    history = History(placed=False)
    pages = Pages.of((7,))
    asked = [
        history.emit("h0/memmap", PageFlags(7, 0, 0)),
        history.emit("h0/driver/nic", Registered("driver/nic", 1, "app", pages, pins=True)),
        history.emit("h0/memmap", PageFlags(7, 0, 0)),
        history.emit("h0/driver/nic", Released("driver/nic", 1, "app", pages, "unpin")),
        history.emit("h0/memmap", PageFlags(7, 0, 0)),
    ]
    holds = Holds()
    for event in history.events:
        holds.feed(event)
    assert [holds.by(("h0", 7), "dma/nic", event.index) for event in asked] == [False, False, True, False, False]
