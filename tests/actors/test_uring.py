"""io_uring: fixed buffers are pins of a ring."""

import pytest

from gupsim.actors.rules.uring import UringPin
from gupsim.protocol.mm import PagesPinned
from gupsim.protocol.uring import FixedRegistered, FixedReleased
from tests.actors.open_files import Played, step

MAP = step("mmap", name="buf", pages=4)


def ring(**fields: object) -> object:
    return step("register_buffers", **{"name": "ring", "map": "buf", "pages": 4, **fields})


def test_a_fixed_buffer_is_a_long_term_pin_for_writing_until_it_is_unregistered() -> None:
    played = Played(app=[MAP, ring(), step("dma_write", pin="ring", page=3, value=9), step("load", map="buf", page=3)])
    assert played.results() == ["ok", "ok", "ok", "9"]
    assert played.counters() == (4, 0)
    played = Played(
        app=[MAP, ring(), step("unpin", pin="ring"), step("unpin", pin="ring"), step("dma_read", pin="ring")]
    )
    assert played.results() == ["ok", "ok", "ok", "ENXIO", "EFAULT"]
    assert played.counters() == (4, 4)


def test_a_copy_beyond_the_buffer_is_refused() -> None:
    played = Played(
        app=[MAP, ring(pages=2), step("dma_read", pin="ring", page=1), step("dma_read", pin="ring", page=2)]
    )
    assert played.results() == ["ok", "ok", "0", "EFAULT"]


def test_a_buffer_with_a_hole_is_not_pinned_at_all() -> None:
    played = Played(
        app=[MAP, step("store", map="buf", value=1), step("munmap", map="buf", page=2, pages=1), ring(), ring(pages=2)]
    )
    assert played.results()[-2:] == ["EFAULT", "ok"]
    assert played.counters() == (4, 2)
    assert [point.pfns for point in played.of(FixedRegistered)] == [played.of(PagesPinned)[-1].pfns]


def test_the_ring_outlives_the_process_that_made_it_and_ends_with_its_last_user() -> None:
    parent = [MAP, ring(pages=1), step("dma_write", pin="ring", value=7), step("fork", child="child"), step("exit")]
    child = [step("wait", time="1ms"), step("dma_read", pin="ring"), step("exit")]
    played = Played(app=parent, child=child)
    assert played.results() == ["ok", "ok", "ok", "ok", "ok"]
    assert played.results("child") == ["ok", "7", "ok"]
    assert len(played.of(FixedReleased)) == 1
    assert played.counters() == (1, 1)


@pytest.mark.parametrize(
    ("era", "shared", "result", "counted"),
    [
        ("v6.1.192", True, "EOPNOTSUPP", (1, 1)),
        ("v6.1.192", False, "EOPNOTSUPP", (1, 1)),
        ("v6.12", True, "EFAULT", (1, 1)),
        ("v6.12", False, "ok", (1, 0)),
    ],
)
def test_what_becomes_of_a_file_differs_by_era(era: str, shared: bool, result: str, counted: tuple[int, int]) -> None:
    file = step("mmap", name="buf", file="data", shared=shared)
    played = Played(era, app=[file, step("store", map="buf", value=1), ring(pages=1)])
    assert played.results() == ["ok", "ok", result]
    assert played.counters() == counted


def test_before_6_12_pages_are_pinned_the_slow_way() -> None:
    for rule, fast in ((UringPin.SLOW, False), (UringPin.FAST, True)):
        played = Played(rules={"uring_pin": rule}, app=[MAP, ring()])
        assert [point.fast for point in played.of(PagesPinned)] == [fast]


def limited(era: str, *sizes: int) -> list[str]:
    """What comes of registering buffers of these sizes, each with a ring of its own, when 12 pages may be locked."""
    rings = [ring(name=f"r{number}", pages=size) for number, size in enumerate(sizes)]
    mapping = step("mmap", name="buf", pages=16)
    return Played(era, app=[mapping, step("setrlimit", memlock=12), step("setuid"), *rings]).results()[3:]


@pytest.mark.parametrize(
    ("era", "sizes", "results"),
    [
        ("v6.12", (13, 12), ["ENOMEM", "ok"]),
        ("v6.12", (6, 2, 4, 1), ["ok", "ok", "ok", "ENOMEM"]),
        ("v6.18", (11, 10), ["ENOMEM", "ok"]),
        ("v6.18", (6, 2, 1), ["ok", "ok", "ENOMEM"]),
    ],
)
def test_who_gave_up_root_is_held_to_the_limit(era: str, sizes: tuple[int, ...], results: list[str]) -> None:
    assert limited(era, *sizes) == results


def test_root_is_not_held_to_the_limit() -> None:
    assert Played(app=[MAP, step("setrlimit", memlock=1), ring()]).results() == ["ok", "ok", "ok"]


def test_the_limit_is_of_the_user_and_not_of_the_process() -> None:
    parent = [MAP, step("setrlimit", memlock=4), step("setuid"), ring(pages=3), step("fork", child="child")]
    child = [ring(name="more", pages=2), ring(name="more", pages=1)]
    assert Played(app=parent, child=child).results("child") == ["ENOMEM", "ok"]
