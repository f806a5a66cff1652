"""Pipes: vmspliced pages are held by plain references."""

from gupsim.protocol.memmap import PageGet, PagePut
from gupsim.protocol.pipe import PipeDrained, PipeFilled
from tests.actors.open_files import Played, step

MAP = step("mmap", name="buf", pages=3)
STORE = step("store", map="buf", length=4096, value=5)


def splice(pages: int = 1, **fields: object) -> object:
    return step("vmsplice", **{"name": "pipe", "map": "buf", "pages": pages, **fields})


def held(played: Played) -> int:
    """References that pipes still have."""
    taken = [point.amount for point in played.of(PageGet) if point.holder.startswith("pipe#")]
    given = [point.amount for point in played.of(PagePut) if point.holder.startswith("pipe#")]
    return sum(taken) - sum(given)


def test_a_spliced_page_is_referenced_and_not_pinned_until_it_is_read() -> None:
    played = Played(app=[MAP, STORE, splice(3)])
    assert played.results()[-1] == "12288"
    assert held(played) == 3
    assert played.counters() == (0, 0)
    played = Played(app=[MAP, STORE, splice(3), step("pipe_read", pin="pipe", pages=2), step("pipe_read", pin="pipe")])
    assert played.results()[-2:] == ["5 0", "0"]
    assert held(played) == 0


def test_the_pipe_and_not_a_copy_shows_what_is_stored_later() -> None:
    played = Played(app=[MAP, STORE, splice(), step("store", map="buf", value=6), step("pipe_read", pin="pipe")])
    assert played.results()[-1] == "6"


def test_what_lies_before_a_hole_is_spliced() -> None:
    hole = step("munmap", map="buf", page=1, pages=1)
    assert Played(app=[MAP, hole, splice(3)]).results()[-1] == "4096"
    assert Played(app=[MAP, hole, splice(2, page=1)]).results()[-1] == "EFAULT"


def test_a_read_only_mapping_can_be_spliced() -> None:
    assert Played(app=[MAP, STORE, step("mprotect", map="buf", prot="r"), splice()]).results()[-1] == "4096"


def test_a_full_pipe_takes_no_more_and_an_empty_one_gives_nothing() -> None:
    played = Played(app=[MAP, splice(), *[step("pipe_read", pin="pipe")] * 2])
    assert played.results()[-2:] == ["0", ""]


def test_the_pages_go_when_the_last_of_its_users_closes_the_pipe() -> None:
    parent = [MAP, STORE, splice(), step("fork", child="child"), step("unpin", pin="pipe"), step("unpin", pin="pipe")]
    child = [step("wait", time="1ms"), step("pipe_read", pin="pipe"), step("exit")]
    played = Played(app=parent, child=child)
    assert played.results()[-2:] == ["ok", "no-such-pin"]
    assert played.results("child") == ["ok", "5", "ok"]
    assert held(played) == 0
    played = Played(app=[MAP, splice(2), step("exit")])
    assert len(played.of(PipeFilled)) == 1
    assert [point.why for point in played.of(PipeDrained)] == ["close"]
    assert held(played) == 0
