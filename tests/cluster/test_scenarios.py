"""Every scenario that comes with gupsim has one history, however its actors are placed."""

import msgspec
import pytest

from gupsim.cluster.local import run_plan
from gupsim.cluster.placement import placement
from gupsim.cluster.plan import decode_plan, plan_of
from gupsim.run import run_scenario
from gupsim.scenario.choices import expected_kernel, kernel
from gupsim.scenario.find import shipped
from gupsim.scenario.load import Loaded, load
from gupsim.scenario.scale import scaled


def small(name: str) -> Loaded:
    loaded = load(name)
    return scaled(loaded, duration="300us") if loaded.scenario.workload is not None else loaded


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(entry.stem, marks=[] if entry.ident in {"S01", "S16", "S35", "rdma-cluster"} else pytest.mark.long)
        for entry in shipped()
    ],
)
def test_a_scenario_on_three_nodes_is_that_of_one_process(name: str) -> None:
    loaded = small(name)
    scenario = loaded.scenario
    chosen = expected_kernel(scenario, scenario.kernel)
    one = run_scenario(loaded, chosen, seed=3)
    for layout in ("spread", "hosts"):
        plan = plan_of(loaded, chosen, 3, placement(["a", "b", "c"], layout=layout, hosts=scenario.machine.hosts))
        got = run_plan(decode_plan(plan.encode()))
        assert got.sha256 == one.outcome.trace_sha256, layout
        assert got.deliveries == one.outcome.events


def test_a_plan_is_another_one_if_anything_of_the_run_is() -> None:
    loaded = load("S01")
    here = placement(["a", "b"], hosts=1)
    plan = plan_of(loaded, kernel("v4.20"), 0, here)
    others = [
        plan_of(loaded, kernel("v5.12"), 0, here),
        plan_of(loaded, kernel("v4.20", ("bounce",)), 0, here),
        plan_of(loaded, kernel("v4.20", platform="pae32"), 0, here),
        plan_of(loaded, kernel("v4.20"), 1, here),
        plan_of(loaded, kernel("v4.20"), 0, placement(["a", "b"], rules=["*/mm=b"], hosts=1)),
        plan_of(load("S02"), kernel("v4.20"), 0, here),
        msgspec.structs.replace(plan, software="0.0.1"),
    ]
    assert len({plan.digest(), *(other.digest() for other in others)}) == 8
    assert decode_plan(plan.encode()) == plan
