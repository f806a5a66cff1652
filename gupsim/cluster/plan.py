"""What a run is: all that a node needs to build its part of the world, in one bounded, plain piece of data."""

from __future__ import annotations

import hashlib
from functools import partial
from importlib.metadata import version
from typing import Any

import msgspec

from gupsim.actors.rules import KernelRules
from gupsim.cluster.errors import ClusterError
from gupsim.cluster.lookahead import Hosts, least_latency
from gupsim.cluster.node_world import NodeWorld
from gupsim.cluster.placement import Placement
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.director import DIRECTOR
from gupsim.protocol.node import NODE_PROTOCOL
from gupsim.run import header
from gupsim.scenario.canonical import file_form
from gupsim.scenario.choices import RULES, ChoiceError, Kernel, find_value
from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.load import Loaded, load_form
from gupsim.scenario.model import Scenario
from gupsim.trace import Header
from gupsim.world import World, build


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """scenario: its canonical form; file: as the user named it; kernel, platform, policies, settings, rules: what is
    in force; seed; placement. software: version of gupsim; messages: fingerprint of all message classes."""

    scenario: dict[str, Any]
    file: str
    kernel: str
    platform: str
    policies: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    rules: dict[str, str]
    seed: int
    placement: Placement
    software: str
    messages: str

    def loaded(self) -> Loaded:
        """The scenario, checked as if it came from its file."""
        return load_form(self.scenario, self.file)

    def chosen(self) -> Kernel:
        """The kernel; ChoiceError for a rule that this gupsim does not have."""
        values = {rule: find_value(rule, value) for rule, value in self.rules.items()}
        rules = KernelRules(**values)  # type: ignore[arg-type]
        return Kernel(self.era, self.policies, self.settings, rules, self.platform)

    @property
    def era(self) -> str:
        """Name of the kernel's preset."""
        return self.kernel

    def encode(self) -> bytes:
        """As it travels."""
        return msgspec.msgpack.encode(self)

    def digest(self) -> str:
        """Equal for two nodes exactly if they mean the same run: scenario, rules, seed, placement and version."""
        return hashlib.sha256(self.encode()).hexdigest()


class NodePart(msgspec.Struct, frozen=True):
    """A world ready to run at one node. header: of the merged trace, actors included."""

    world: World
    node: NodeWorld
    header: Header


def plan_of(loaded: Loaded, chosen: Kernel, seed: int, placement: Placement) -> Plan:
    """The plan of a run."""
    return Plan(
        scenario=file_form(loaded.scenario),
        file=loaded.file,
        kernel=chosen.era,
        platform=chosen.platform,
        policies=chosen.policies,
        settings=chosen.settings,
        rules={rule: str(getattr(chosen.rules, rule).value) for rule in RULES},
        seed=seed,
        placement=placement,
        software=version("gupsim"),
        messages=fingerprint(),
    )


def fingerprint() -> str:
    """Changes with any field of any message: two nodes that differ here do not speak the same language."""
    shape = [
        (kind.__struct_config__.tag, [(field.name, str(field.type)) for field in msgspec.structs.fields(kind)])
        for kind in ALL_MESSAGES
    ]
    return hashlib.sha256(msgspec.json.encode((NODE_PROTOCOL, shape))).hexdigest()[:16]


def decode_plan(data: bytes) -> Plan:
    """ClusterError for anything that is not a plan of this version."""
    try:
        plan = msgspec.msgpack.decode(data, type=Plan)
        plan.loaded()
        plan.chosen()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ScenarioError, ChoiceError) as error:
        raise ClusterError(f"the coordinator sent a world that this node cannot build: {error}") from None
    if plan.software != version("gupsim"):
        raise ClusterError(
            f"the coordinator runs gupsim {plan.software}, this node {version('gupsim')}:"
            " install one version everywhere"
        )
    if plan.messages != fingerprint():
        raise ClusterError("the coordinator's messages differ from this node's: install one version everywhere")
    return plan


def build_part(plan: Plan, me: int) -> NodePart:
    """The world as node `me` sees it, its first messages not yet posted. me -1: no actor at all, for the names."""
    loaded, chosen = plan.loaded(), plan.chosen()
    made: list[NodeWorld] = []

    def engine(**options: Any) -> NodeWorld:
        place = partial(NodeWorld, me=me, nodes=len(plan.placement.nodes), node_of=plan.placement.node_of)
        made.append(place(**options))
        return made[0]

    world = build(loaded.scenario, chosen.rules, seed=plan.seed, codec=False, engine=engine)
    actors = tuple(port.address for port in made[0].core.ports)
    return NodePart(world, made[0], msgspec.structs.replace(header(loaded, chosen, plan.seed), actors=actors))


def lookahead_of(plan: Plan, part: NodePart) -> int:
    """ns; see gupsim.cluster.lookahead."""
    everywhere = (DIRECTOR,) if _directed(part.world.scenario) else ()
    return least_latency(part.header.actors, plan.placement.node_of, part.node.speeds, Hosts(everywhere))


def _directed(scenario: Scenario) -> bool:
    """True if some step talks to the director."""
    steps = (step for thread in scenario.threads.values() for step in thread.steps)
    return any(step.label or step.after or step.until for step in steps)
