"""process_vm_readv and process_vm_writev: pins of another task's pages, for the time of a copy."""

from gupsim.protocol.mm import Foll, PagesPinned
from tests.actors.open_files import Played, step

MAP = step("mmap", name="buf", pages=3)
STORE = step("store", map="buf", length=4096, value=5)
FORK = step("fork", child="child")


def vm(way: str, pages: int = 3, **fields: object) -> object:
    return step("process_vm", **{"dir": way, "target": "child", "map": "buf", "pages": pages, **fields})


def test_a_read_tells_bytes_and_the_first_one_and_a_write_bytes() -> None:
    played = Played(
        app=[MAP, STORE, FORK, vm("read"), vm("write", value=8), vm("read"), step("load", map="buf")],
        child=[step("wait", time="1ms"), step("load", map="buf", page=2)],
    )
    assert played.results()[3:] == ["12288 5", "12288", "12288 8", "5"]
    assert played.results("child") == ["ok", "8"]


def test_each_call_pins_the_pages_of_the_other_task_and_gives_them_back() -> None:
    played = Played(app=[MAP, STORE, FORK, vm("read", 1), vm("write", 1)], child=[step("wait", time="1ms")])
    calls = played.of(PagesPinned)
    assert [(call.mm, call.pin, bool(call.flags & Foll.WRITE)) for call in calls] == [
        ("child", True, False),
        ("child", True, True),
    ]
    assert played.counters() == (2, 2)


def test_what_lies_before_a_hole_is_moved_and_counted() -> None:
    hole = step("munmap", map="buf", page=1, pages=1)
    played = Played(app=[MAP, STORE, hole, FORK, vm("write"), vm("read", 1, page=1)], child=[step("wait", time="1ms")])
    assert played.results()[-2:] == ["4096", "EFAULT"]


def test_the_rights_of_the_target_count() -> None:
    played = Played(
        app=[MAP, STORE, FORK, step("wait", time="1ms"), vm("write", 1), vm("read", 1)],
        child=[step("mprotect", map="buf", prot="r")],
    )
    assert played.results()[-2:] == ["EFAULT", "4096 5"]


def test_who_gave_up_root_may_look_at_nobody_else() -> None:
    played = Played(
        app=[MAP, STORE, FORK, step("setuid"), vm("read", 1), vm("read", 1, target="app")],
        child=[step("wait", time="1ms")],
    )
    assert played.results()[-2:] == ["EPERM", "4096 5"]
