"""What a proof rests on: a claim that nothing goes wrong is worth nothing where nothing was ever tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from errno import errorcode
from typing import Final

import msgspec

from gupsim.actors.rules import POLICIES, KernelRules
from gupsim.actors.rules.consulted import pins_that_count
from gupsim.outcomes.witness import Witness
from gupsim.protocol import steps
from gupsim.scenario.choices import Kernel
from gupsim.scenario.model import Scenario

_FAILURES: Final = frozenset(errorcode.values()) | {"EOPNOTSUPP"}
_ALSO_FAILURES: Final = ("SIG", "no-such-", "no-hypervisor")
_LISTED: Final = 3
"""Different results of a step that one line names."""


def failed(result: str) -> bool:
    """An errno, a signal, or a name that an earlier step failed to make."""
    return result in _FAILURES or result.startswith(_ALSO_FAILURES)


class Evidence(msgspec.Struct):
    """Of any number of executions. succeeded: steps that did in one of them. results: of steps that never did yet, what
    they failed with. ended: threads that got to their end in one. decided: rules that decided something."""

    executions: int = 0
    succeeded: set[tuple[str, int]] = set()
    results: dict[tuple[str, int], set[str]] = {}
    ended: set[str] = set()
    decided: set[str] = set()

    def add(self, witness: Witness) -> None:
        """One execution more."""
        self.executions += 1
        self.ended |= witness.ended
        self.decided |= witness.decided
        for step, result in witness.results.items():
            if step in self.succeeded:
                continue
            if failed(result):
                self.results.setdefault(step, set()).add(result)
            else:
                self.succeeded.add(step)
                self.results.pop(step, None)

    def join(self, other: Evidence) -> None:
        """What others saw."""
        self.executions += other.executions
        self.ended |= other.ended
        self.decided |= other.decided
        self.succeeded |= other.succeeded
        for step, results in other.results.items():
            self.results.setdefault(step, set()).update(results)
        for step in self.succeeded & set(self.results):
            del self.results[step]


class Gap(msgspec.Struct, frozen=True):
    """Something that was never tried. what: "step", "thread", "policy" or "rule"; name: of it; says: a sentence.
    vacuous: a proof without it proves nothing."""

    what: str
    name: str
    says: str
    vacuous: bool


def gaps(scenario: Scenario, kernel: Kernel, evidence: Evidence, *, once: bool = False) -> list[Gap]:
    """What a proof does not rest on. once: of one history, not of all interleavings."""
    found = [*_steps(scenario, evidence, once=once), *_threads(scenario, evidence, once=once)]
    return [*found, *_choices(kernel, evidence, once=once)]


def _steps(scenario: Scenario, evidence: Evidence, *, once: bool) -> Iterator[Gap]:
    always = "" if once else " in every execution"
    never = "was not reached" if once else "was never reached"
    for thread, spec in scenario.threads.items():
        for number, step in enumerate(spec.steps):
            place = (thread, number)
            if place in evidence.succeeded:
                continue
            name = f"step {number + 1} of {thread} ({_called(step)})"
            results = sorted(evidence.results.get(place, ()))
            if results:
                more = f" and {len(results) - _LISTED} more" if len(results) > _LISTED else ""
                yield Gap("step", name, f"{name} failed{always}: {', '.join(results[:_LISTED])}{more}", True)
            elif not number or (thread, number - 1) in evidence.succeeded:
                yield Gap("step", name, f"{name} {never}", True)


def _threads(scenario: Scenario, evidence: Evidence, *, once: bool) -> Iterator[Gap]:
    for thread, spec in scenario.threads.items():
        last = (thread, len(spec.steps) - 1)
        # Who exits, is killed or whose last step fails has said so already.
        if thread in evidence.ended or last in evidence.succeeded or last in evidence.results:
            continue
        yield Gap("thread", thread, f"thread {thread} {'did not get' if once else 'never got'} to its end", True)


def _choices(kernel: Kernel, evidence: Evidence, *, once: bool) -> Iterator[Gap]:
    """Policies and rules that were set on purpose and decided nothing."""
    for policy in kernel.policies:
        changes = [rule for rule in POLICIES[policy][0] if rule not in dict(kernel.settings)]
        if changes and not evidence.decided & set(changes):
            said = " and ".join(f"{rule}={getattr(kernel.rules, rule).value}" for rule in changes)
            yield Gap("policy", policy, f"policy {policy} decided nothing ({said}){_why(kernel, changes)}", True)
    for rule, value in kernel.settings:
        if rule not in evidence.decided:
            yield Gap("rule", rule, f"rule {rule}={value} decided nothing{_why(kernel, [rule])}", not once)


def _why(kernel: Kernel, rules: Iterable[str]) -> str:
    """What would have to be set for them to bite, as far as that can be said."""
    missing = pins_that_count(kernel.rules, rules)
    if not missing:
        return ": nothing came up that it is about"
    now = ", ".join(f"{rule}={getattr(kernel.rules, rule).value}" for rule in missing)
    cure = " ".join(f"--set {rule}={value}" for rule, value in missing.items())
    return f": in {kernel.era} no page can be told to be pinned ({now}); it would bite with {cure}"


def _called(step: steps.Step) -> str:
    return f"{steps.word(step)}, {step.label!r}" if step.label else steps.word(step)


def decided_of(rules: KernelRules) -> frozenset[str]:
    """The rules that decided something so far; all of them for plain rules, which nobody counts."""
    return getattr(rules, "decided_rules", frozenset(KernelRules.__struct_fields__))
