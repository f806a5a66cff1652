"""The page cache of one file: what a search reads, and what changes under it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.actors.base import Recorder
from gupsim.actors.base.footprint import Footprint, conflict
from gupsim.actors.fs.pagetree import PageTree, Tag


class Owner:
    def __init__(self, *, recording: bool = True) -> None:
        self.recorder = Recorder(enabled=recording)


def tree_of(owner: Owner, *indices: int, size: int = 8) -> PageTree:
    tree = PageTree(owner, "i_pages", size)
    for index in indices:
        tree.store(index, 100 + index)
    owner.recorder.take()
    return tree


def test_a_search_finds_the_first_page_with_the_tag_from_the_start_on() -> None:
    tree = tree_of(Owner(), 1, 3, 5)
    tree.set_tag(3, Tag.DIRTY)
    tree.set_tag(5, Tag.DIRTY)
    assert [tree.first(start, Tag.DIRTY) for start in range(7)] == [3, 3, 3, 3, 5, 5, None]
    assert [tree.first(start) for start in range(7)] == [1, 1, 3, 3, 5, 5, None]


def test_a_page_that_leaves_takes_its_tags_along() -> None:
    tree = tree_of(Owner(), 2)
    for tag in Tag:
        tree.set_tag(2, tag)
    tree.erase(2)
    assert tree.load(2) is None
    assert not any(tree.tagged(2, tag) for tag in Tag)


def test_copying_a_tag_leaves_the_other_one_in_place() -> None:
    tree = tree_of(Owner(), 0, 1, 2)
    tree.set_tag(0, Tag.DIRTY)
    tree.set_tag(2, Tag.DIRTY)
    tree.copy_tag(Tag.DIRTY, Tag.TOWRITE)
    assert [tree.tagged(index, Tag.TOWRITE) for index in range(3)] == [True, False, True]
    assert tree.tagged(0, Tag.DIRTY)


def footprint(owner: Owner, *calls: tuple[str, tuple[object, ...]], tree: PageTree) -> Footprint:
    owner.recorder.take()
    for name, arguments in calls:
        getattr(tree, name)(*arguments)
    return owner.recorder.take()


@pytest.mark.parametrize(
    ("change", "dependent"),
    [
        (("set_tag", (1, Tag.DIRTY)), True),  # before what was found
        (("set_tag", (3, Tag.DIRTY)), True),  # what was found
        (("set_tag", (5, Tag.DIRTY)), False),  # behind it
        (("set_tag", (1, Tag.WRITEBACK)), False),  # another tag
        (("store", (1, 7)), False),  # an untagged page
    ],
)
def test_a_search_depends_on_the_places_that_it_passed_and_on_no_others(
    change: tuple[str, tuple[object, ...]], dependent: bool
) -> None:
    owner = Owner()
    tree = tree_of(owner, 3, 5)
    tree.set_tag(3, Tag.DIRTY)
    searched = footprint(owner, ("first", (0, Tag.DIRTY)), tree=tree)
    assert conflict(searched, footprint(owner, change, tree=tree)) is dependent


def test_a_search_that_finds_nothing_depends_on_growth_of_the_file() -> None:
    owner = Owner()
    tree = tree_of(owner, 0)
    searched = footprint(owner, ("first", (0, Tag.DIRTY)), tree=tree)
    assert conflict(searched, footprint(owner, ("store", (20, 7)), tree=tree))
    assert not conflict(searched, footprint(owner, ("load", (0,)), tree=tree))


@given(st.lists(st.tuples(st.sampled_from(["set", "clear"]), st.integers(0, 9)), max_size=30), st.integers(0, 10))
def test_a_search_agrees_with_looking_at_every_index(steps: list[tuple[str, int]], start: int) -> None:
    tree = PageTree(Owner(recording=False), "i_pages", 4)
    tagged: set[int] = set()
    for what, index in steps:
        if what == "set":
            tree.set_tag(index, Tag.DIRTY)
            tagged.add(index)
        else:
            tree.clear_tag(index, Tag.DIRTY)
            tagged.discard(index)
    assert tree.first(start, Tag.DIRTY) == min((index for index in tagged if index >= start), default=None)
