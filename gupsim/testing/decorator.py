"""`@explore`: a test function that runs under every interleaving of its actors."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    import pytest

    from gupsim.testing.search import Proof

F = TypeVar("F", bound=Callable[..., Any])

WORLD = "world"
"""The parameter of a test that gets the fresh world; all others are fixtures, the same for every execution."""


@overload
def explore(test: F) -> F: ...
@overload
def explore(
    *,
    strategy: str = ...,
    limit: int = ...,
    seed: int = ...,
    max_events: int = ...,
    waiting: bool = ...,
    watched: bool = ...,
) -> Callable[[F], F]: ...
def explore(
    test: Any = None,
    *,
    strategy: str = "dpor",
    limit: int = 10_000,
    seed: int = 0,
    max_events: int = 10_000,
    waiting: bool = False,
    watched: bool = True,
) -> Any:
    """Run the test under every interleaving; it fails with the shortest schedule found, and how to replay that.

    The parameters are those of `gupsim.testing.Settings`; --gupsim-strategy, --gupsim-limit and --gupsim-seed go
    before them. The world is the parameter `world`, a `gupsim.testing.Stage`.
    """

    def decorate(body: Callable[..., Any]) -> Callable[..., None]:
        signature = inspect.signature(body)
        if WORLD not in signature.parameters:
            raise TypeError(f"{body.__qualname__}: an explored test needs a parameter `{WORLD}`")
        wants_request = "request" in signature.parameters

        def explored(*args: Any, **fixtures: Any) -> None:
            __tracebackhide__ = True
            from gupsim.testing.body import with_fixtures
            from gupsim.testing.settings import Settings

            request = fixtures.get("request") if wants_request else fixtures.pop("request", None)
            settings = Settings(
                strategy=strategy, limit=limit, seed=seed, max_events=max_events, waiting=waiting, watched=watched
            )
            run = with_fixtures(body, args, fixtures)
            if request is None:
                _alone(run, settings, body.__qualname__)
            else:
                _in_pytest(run, settings, request)

        explored.__name__ = body.__name__
        explored.__qualname__ = body.__qualname__
        explored.__doc__ = body.__doc__
        explored.__module__ = body.__module__
        explored.__wrapped__ = body  # type: ignore[attr-defined]
        explored.__dict__.update({key: value for key, value in vars(body).items() if key != "__wrapped__"})
        parameters = [parameter for name, parameter in signature.parameters.items() if name != WORLD]
        if not wants_request:
            parameters.append(inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY))
        explored.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return explored

    return decorate if test is None else decorate(test)


def _alone(run: Callable[..., Any], settings: Any, name: str) -> None:
    __tracebackhide__ = True
    from gupsim.testing.search import prove

    prove(run, settings, name=name)


def _in_pytest(run: Callable[..., Any], settings: Any, request: pytest.FixtureRequest) -> None:
    __tracebackhide__ = True
    import msgspec
    import pytest

    from gupsim.testing import search

    options = request.config.option
    overrides = {"strategy": options.gupsim_strategy, "limit": options.gupsim_limit, "seed": options.gupsim_seed}
    changed = {key: value for key, value in overrides.items() if value is not None}
    settings = msgspec.structs.replace(settings, **changed)
    node = request.node
    name = node.nodeid.rpartition("/")[2]
    command = f"pytest {shlex.quote(node.nodeid)} --gupsim-replay="
    if options.gupsim_replay is not None:
        if not search.belongs(options.gupsim_replay, name):
            pytest.skip("the replay token is of another test")
        proof = search.replay(run, settings, options.gupsim_replay, name=name, command=command)
    else:
        proof = search.prove(run, settings, name=name, command=command)
    _report(node, proof)


def _report(node: Any, proof: Proof) -> None:
    node.user_properties.append(("gupsim", proof.say()))
    node.add_report_section("call", "gupsim", proof.say())
