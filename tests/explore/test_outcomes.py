"""What steps return and what is there at the end: expected, searched for, counted; and what a proof rests on."""

import re
from pathlib import Path

import pytest

from tests.cli.run_cli import gupsim
from tests.explore.test_command import called, explored

RACE = """\
title: two stores and a load
machine: {cpus: 2, memory: 64KiB, chunks: 1, levels: 2, table_bits: 3}
threads:
  a:
    process: p
    steps:
      - mmap: {as: buf}
        label: ready
      - store: {map: buf, value: 1}
      - load: {map: buf, as: seen}
  b:
    process: p
    cpu: 1
    begins: ready
    steps:
      - store: {map: buf, value: 2}
"""
REFUSED = """\
title: a pin that is always refused
machine: {cpus: 1, memory: 64KiB, devices: {nic: {}}}
kernel: v4.20
threads:
  app:
    steps:
      - mmap: {as: buf}
      - pin: {as: mr, device: nic, map: buf, flags: [write, pin]}
      - unpin: {pin: mr}
"""
POLICY = """\
title: nothing is ever written back
machine:
  cpus: 1
  memory: 64KiB
  devices: {nic: {}}
  disks: {sda: {}}
  filesystems: {ext4: {device: sda, files: {data: {}}}}
threads:
  app:
    steps:
      - mmap: {as: buf, file: data}
      - pin: {as: mr, device: nic, map: buf}
      - unpin: {pin: mr}
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str, expectations: str = "", name: str = "test.yaml") -> str:
    Path(name).write_text(text + expectations, encoding="utf-8")
    return f"./{name}"


def test_a_claim_is_found_with_a_schedule_that_shows_it_again() -> None:
    file = written(RACE, "expectations: {v6.12: {reachable: {load: {seen: 2}}, unreachable: {load: {seen: 3}}}}\n")
    status, output, _ = called(file)
    assert status == 0
    assert "seen=0x02 is reachable: found after" in output
    assert "seen=0x03 is unreachable: proved" in output
    command = next(line.split() for line in output.splitlines() if "gupsim replay" in line)
    replayed = gupsim(*command[1:], "--minimise")
    assert replayed.returncode == 1, replayed.stderr
    assert "seen=0x02" in replayed.stdout


def test_a_conjunction_must_be_shown_by_one_execution() -> None:
    both = "{load: {seen: 1}, memory: {buf: 2}}"
    never = "{load: {seen: 2}, memory: {buf: 1}}"
    told = explored(written(RACE, f"expectations: {{v6.12: {{reachable: {both}, unreachable: {never}}}}}\n"), status=0)
    assert [expected["verdict"] for expected in told["expectations"]] == ["found", "proved"]


def test_outcomes_are_counted_as_herd7_prints_them() -> None:
    file = written(RACE, "outcomes: [seen, memory p/buf]\nexpectations: {v6.12: {reachable: {load: {seen: 2}}}}\n")
    status, output, _ = called(file, "--outcomes")
    assert status == 0
    table = output[output.index("Test test Allowed") :].splitlines()
    assert table[2] == "States 3"
    states = dict(reversed(line.split(":>")) for line in table[3:6])
    assert {state: int(count) for state, count in states.items()} == {
        "seen=0x01; memory p/buf=0x01;": 44,
        "seen=0x01; memory p/buf=0x02;": 44,
        "seen=0x02; memory p/buf=0x02;": 44,
    }
    assert table[6:11] == [
        "Ok",
        "Witnesses",
        "Positive: 44 Negative: 88",
        "Condition exists (seen=0x02)",
        "Observation test Sometimes 44 88",
    ]


def test_outcomes_are_the_same_for_any_number_of_workers_and_for_the_search_without_reduction() -> None:
    file = written(RACE, "outcomes: [seen, memory p/buf]\n")
    one, two = (explored(file, "--outcomes", "-w", workers, status=0)["outcomes"] for workers in ("1", "2"))
    assert one == two
    limit = ("--strategy", "random", "--limit", "60")
    drawn = explored(file, "--outcomes", *limit, status=3)["outcomes"]
    assert {state["outcome"] for state in drawn[0]["states"]} <= {state["outcome"] for state in one[0]["states"]}


def test_never_and_always_are_what_they_say() -> None:
    file = written(RACE)
    _, output, _ = called(file, "--outcomes", "--reachable", "a:1=ok", "--unreachable", "seen=7")
    assert re.findall(r"Observation test (\w+) (\d+) (\d+)", output) == [("Always", "132", "0"), ("Never", "0", "132")]


@pytest.mark.parametrize("claim", ["sen=1", "space-leak", "seen"])
def test_a_wrong_claim_on_the_command_line_is_refused(claim: str) -> None:
    status, _, errors = called(written(RACE), "--reachable", claim)
    assert status == 2
    assert errors.startswith("gupsim: explore: --reachable: ")
    assert errors.count("\n") == 1


def test_a_run_says_which_claims_it_shows() -> None:
    file = written(RACE, "expectations: {v6.12: {reachable: {load: {seen: 1}}, unreachable: {load: {seen: 3}}}}\n")
    told = gupsim("run", file)
    assert "shows: seen=0x01\ndoes not show: seen=0x03\n" in told.stdout
    assert "outcome  buf" not in told.stdout
    assert "seen 0x01, memory p/buf 0x01" in told.stdout


def test_a_proof_in_which_a_step_never_succeeds_is_vacuous() -> None:
    file = written(REFUSED, "expectations: {v4.20: {unreachable: pin-leak}}\n")
    told = explored(file, status=1)
    assert told["verdict"] == "vacuous"
    assert [expected["verdict"] for expected in told["expectations"]] == ["vacuous"]
    gaps = [gap["says"] for gap in told["searches"][0]["rests_on"]["gaps"]]
    assert gaps == [
        "step 2 of app (pin) failed in every execution: ENOSYS",
        "step 3 of app (unpin) failed in every execution: no-such-pin",
    ]
    status, output, _ = called(file)
    assert status == 1
    assert "the proof is vacuous" in output
    assert "1 vacuous" in output


def test_a_file_may_allow_it_with_a_reason_and_not_without() -> None:
    allowed = "vacuous: allowed, reason: there are no pins in this kernel"
    told = explored(written(REFUSED, f"expectations: {{v4.20: {{unreachable: pin-leak, {allowed}}}}}\n"), status=0)
    assert told["expectations"][0]["verdict"] == "proved"
    assert told["searches"][0]["rests_on"]["reason"] == "there are no pins in this kernel"
    for_all = written(REFUSED, "vacuous: allowed\nreason: so it is\nexpectations: {v4.20: {unreachable: pin-leak}}\n")
    assert explored(for_all, status=0)["verdict"] == "held"
    status, _, errors = called(written(REFUSED, "vacuous: allowed\n"))
    assert status == 2
    assert "give a 'reason'" in errors


def test_a_file_that_expects_nothing_is_not_proved_by_nothing() -> None:
    status, output, _ = called(written(REFUSED))
    assert status == 1
    assert "vacuous: no interleaving of 1 trace shows a violation" in output


def test_a_policy_that_never_decides_anything_proves_nothing() -> None:
    file = written(POLICY, "expectations: {v6.12 + bounce: {unreachable: data-loss}}\n")
    told = explored(file, status=1)
    (gap,) = told["searches"][0]["rests_on"]["gaps"]
    assert (gap["what"], gap["name"]) == ("policy", "bounce")
    assert gap["says"].endswith("nothing came up that it is about")
    assert explored(file, "--kernel", "v6.12", status=0)["verdict"] == "held"


def test_a_rule_that_was_set_and_never_read_proves_nothing() -> None:
    file = written(POLICY, "expectations: {v6.12 + collapse_sync=none: {unreachable: data-loss}}\n")
    (gap,) = explored(file, status=1)["searches"][0]["rests_on"]["gaps"]
    assert gap["says"].startswith("rule collapse_sync=none decided nothing")


def test_a_run_names_the_rules_that_would_make_a_policy_bite() -> None:
    told = gupsim("run", "S01", "-p", "bounce").stdout
    said = re.sub(r"\s+", " ", told)
    assert "note: policy bounce decided nothing (writeback_pinned=bounce): in v4.20 no page can be told to be" in said
    assert "it would bite with --set pin_api=bias --set driver_call=pin" in said
    biting = gupsim("run", "S01", "-p", "bounce", "--set", "pin_api=bias", "--set", "driver_call=pin")
    assert "decided nothing" not in biting.stdout
    assert biting.returncode == 0


def test_a_thread_that_never_ends_is_told() -> None:
    file = written(
        """\
title: a signal comes first
machine: {cpus: 1, memory: 64KiB}
threads:
  app:
    steps:
      - mmap: {as: buf, prot: none}
      - load: {map: buf}
      - store: {map: buf, value: 1}
"""
    )
    gaps = explored(file, status=1)["searches"][0]["rests_on"]["gaps"]
    assert [gap["says"] for gap in gaps] == ["step 2 of app (load) failed in every execution: SIGSEGV"]
