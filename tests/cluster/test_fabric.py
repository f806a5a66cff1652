"""Remote writes land where the target's driver allowed it, as long as it allows it, and without its CPUs."""

import pytest

from gupsim.protocol.address import host_of
from gupsim.protocol.dma import DmaAccess
from gupsim.protocol.driver import Released
from gupsim.protocol.fabric import FIRST_REMOTE_OPERATION, RegionAdded, RemoteRefused
from gupsim.run import run_scenario
from gupsim.scenario.choices import kernel
from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.load import load, load_text
from gupsim.scenario.scale import scaled
from gupsim.trace.records import Event


@pytest.fixture(scope="module")
def events() -> list[Event]:
    found: list[Event] = []
    loaded = scaled(load("rdma-cluster"), hosts=4, duration="400us")
    run_scenario(loaded, kernel("v6.12"), readers=(found.append,))
    return found


def remote(event: Event) -> bool:
    return isinstance(event.point, DmaAccess) and event.point.operation >= FIRST_REMOTE_OPERATION


def test_every_host_is_written_to_by_others(events: list[Event]) -> None:
    assert {host_of(event.actor) for event in events if remote(event)} == {"h0", "h1", "h2", "h3"}


def test_a_remote_write_touches_only_frames_of_a_region_whose_driver_still_holds_it(events: list[Event]) -> None:
    regions: dict[tuple[str, int], tuple[int, ...]] = {}
    checked = 0
    for event in events:
        point, host = event.point, host_of(event.actor)
        if isinstance(point, RegionAdded):
            regions[host, point.key] = point.pfns
        elif isinstance(point, Released):
            regions.pop((host, point.handle), None)
        elif remote(event):
            checked += 1
            assert any(point.pfn in pfns for (where, _), pfns in regions.items() if where == host)
    assert checked > 50


def test_a_write_that_comes_after_the_release_is_refused_by_the_nic(events: list[Event]) -> None:
    assert any(isinstance(event.point, RemoteRefused) for event in events)


def test_remote_writes_need_a_fabric_and_two_hosts() -> None:
    text = (
        "title: x\nmachine: {hosts: 2, devices: {nic: {}}}\nworkload: {duration: 1us, generators: "
        "[{remote_write: {device: nic, every: 1us}}]}\n"
    )
    with pytest.raises(ScenarioError, match="needs a machine with a fabric and two hosts or more"):
        load_text(text)
    load_text(text.replace("hosts: 2", "hosts: 2, fabric: {}"))
