"""What a file may expect: kinds that a checker reports, and claims about results by names that stand for something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gupsim.checkers import ALL_CHECKERS, KINDS
from gupsim.scenario.canonical import file_form
from gupsim.scenario.claims import ClaimError, claim_of, claim_text, result_names, same_value
from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.load import load_form, load_text
from gupsim.scenario.model import Claim

FILE = """\
title: two readers
machine:
  memory: 64KiB
  disks: {sda: {}}
  filesystems: {ext4: {device: sda, files: {data: {pages: 2}}}}
  memfds: {shm: {}}
threads:
  app:
    steps:
      - mmap: {as: buf}
      - load: {map: buf, as: seen}
      - load: {map: buf}
        label: again
      - fork: {child: kid}
  kid:
    steps:
      - load: {map: buf}
        as: inherited
expectations:
  v6.12: {reachable: CLAIM}
"""


def problem(claim: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_text(FILE.replace("CLAIM", claim), "f.yaml")
    return str(caught.value)


def test_kinds_are_those_of_the_checkers_and_of_the_search() -> None:
    assert {checker.kind for checker in ALL_CHECKERS} | {"deadlock", "starvation"} == set(KINDS)


@pytest.mark.parametrize(("claim", "said"), [("space-leak", "did you mean"), ("data-los", "did you mean 'data-loss'?")])
def test_a_kind_that_nobody_reports_is_refused_with_the_nearest_one(claim: str, said: str) -> None:
    assert "f.yaml:20: expectations.v6.12.reachable[0]: unknown value of 'reachable'" in problem(claim)
    assert said in problem(claim)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("{result: {sen: 1}}", "unknown result 'sen'; did you mean 'seen'?"),
        ("{load: {app: 1}}", "unknown result 'app'"),
        ("{result: {}}", "claims nothing"),
        ("{kind: space-leak}", "unknown value of 'kind' 'space-leak'"),
        ("{memory: {buf: 1}}", "'buf' is a mapping of several processes: app, kid; say which, as 'app/buf'"),
        ("{memory: {app/bus: 1}}", "unknown mapping 'app/bus'; did you mean 'app/buf'?"),
        ("{file: {dat: 1}}", "unknown file 'dat'; did you mean 'data'?"),
        ("{disk: {shm: 1}}", "unknown file 'shm'"),
        ("{file: {'data:x': 1}}", "'data:x' is no place"),
        ("{wat: 1}", "unknown field 'wat'"),
    ],
)
def test_a_claim_about_nothing_is_refused(claim: str, said: str) -> None:
    assert said in problem(claim)


def test_a_name_that_two_steps_have_must_be_made_clear() -> None:
    twice = FILE.replace("- mmap: {as: buf}\n", "- mmap: {as: buf}\n      - mmap: {as: buf}\n")
    with pytest.raises(ScenarioError, match="'buf' names step 1 of app and step 2 of app: give the one that is meant"):
        load_text(twice.replace("CLAIM", "{result: {buf: ok}}"), "f.yaml")


def test_as_is_another_word_for_label_where_a_step_makes_nothing() -> None:
    scenario = load_text(FILE.replace("CLAIM", "{load: {seen: 0, again: 0x0, inherited: 0}}")).scenario
    names = result_names(scenario)
    assert names["buf"] == [("app", 0)]
    assert names["seen"] == [("app", 1)]
    assert names["inherited"] == names["kid:1"] == [("kid", 0)]
    assert [step.label for step in scenario.threads["app"].steps] == ["", "seen", "again", ""]
    with pytest.raises(ScenarioError, match="a step has one name: 'as' or 'label'"):
        load_text(FILE.replace("CLAIM", "deadlock").replace("label: again", "label: again\n        as: more"))


def test_what_the_file_says_survives_its_canonical_form() -> None:
    loaded = load_text(FILE.replace("CLAIM", "[deadlock, {kind: data-loss, file: {'data:1': 0xAA}, warning: ext4}]"))
    assert load_form(file_form(loaded.scenario)).digest == loaded.digest


NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
VALUE = st.integers(-200, 300) | st.sampled_from(["ENOMEM", "ok", "SIGBUS", "no-such-pin"])
VALUES = st.dictionaries(NAME, VALUE, max_size=3)
CLAIM = st.builds(
    Claim,
    kind=st.lists(st.sampled_from(KINDS), max_size=2, unique=True).map(tuple),
    result=VALUES,
    file=VALUES,
    disk=VALUES,
    memory=VALUES,
    warning=st.lists(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), max_size=2).map(
        tuple
    ),
)


@given(CLAIM)
def test_a_claim_is_what_its_text_stands_for(claim: Claim) -> None:
    text = claim_text(claim)
    if not text:
        return
    again = claim_of(text)
    assert claim_text(again) == text
    assert again == claim or (again,) == claim.kind


@pytest.mark.parametrize("text", ["", "seen=", "=1", "a b", "seen=1 again=2", 'warning "x', "seen=1 &&"])
def test_what_is_no_claim_is_refused(text: str) -> None:
    with pytest.raises(ClaimError):
        claim_of(text)


def test_values_are_compared_as_a_person_means_them() -> None:
    assert same_value(0x22, "34")
    assert same_value(0x11, "0x11/0xaa")
    assert same_value("-ENOMEM", "ENOMEM")
    assert same_value("EOPNOTSUPP", "ENOTSUP")
    assert same_value("4096 7", "4096 7")
    assert same_value(4096, "4096 7")
    assert not same_value(0, "ok")
    assert not same_value("ok", "0")
