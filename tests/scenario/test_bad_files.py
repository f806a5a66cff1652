# ruff: noqa: E501 - one case a line

"""Whatever is wrong with a scenario file: one message with file, line, field and the nearest valid name."""

import os
import textwrap
import time
from pathlib import Path

import pytest

from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.load import load, load_text

GOOD = """\
title: A file that is fine
machine:
  disks: {sda: {}}
  filesystems: {ext4: {device: sda, files: {data: {pages: 2}}}}
  devices: {nic: {}}
threads:
  app:
    steps:
      - mmap: {as: buf, file: data}
      - pin: {as: mr, device: nic, map: buf}
      - dma_write: {pin: mr, value: 1}
        label: written
      - unpin: {pin: mr}
  flusher:
    steps:
      - sync:
        after: written
"""


def problem(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_text(textwrap.dedent(text), "f.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_the_file_that_the_others_are_made_from_is_fine() -> None:
    assert load_text(GOOD).scenario.threads["app"].steps[2].label == "written"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- mmap:", "- mmapp:", "f.yaml:9: threads.app.steps[0].mmapp: unknown step 'mmapp'; did you mean 'mmap'?"),
        ("{as: buf, f", "{name: buf, f", "f.yaml:9: threads.app.steps[0].mmap.name: unknown field 'name'"),
        ("as: mr, ", "", "f.yaml:10: threads.app.steps[1].pin: the field 'as' is missing"),
        ("device: nic", "device: nik", "f.yaml:10: threads.app.steps[1].pin.device: unknown device 'nik'; did you mean 'nic'?"),
        ("file: data}", "device: nik}", "f.yaml:9: threads.app.steps[0].mmap.device: unknown device 'nik'; did you mean 'nic'?"),
        ("file: data}", "file: data, device: nic}", "f.yaml:9: threads.app.steps[0].mmap.device: memory of a driver is neither a file nor huge pages"),
        ("map: buf}", "map: buf, pages: 2, times: 9}", "f.yaml:10: threads.app.steps[1].pin.times: many times is for one page"),
        ("file: data}", "file: dat}", "f.yaml:9: threads.app.steps[0].mmap.file: unknown file 'dat'; did you mean 'data'?"),
        ("map: buf}", "map: bug}", "f.yaml:10: threads.app.steps[1].pin.map: unknown map 'bug'; did you mean 'buf'?"),
        ("unpin: {pin: mr}", "unpin: {pin: mm}", "f.yaml:13: threads.app.steps[3].unpin.pin: unknown pin 'mm'; did you mean 'mr'?"),
        ("device: sda", "device: sdb", "f.yaml:4: machine.filesystems.ext4.device: unknown disk 'sdb'; did you mean 'sda'?"),
        ("value: 1", "value: 256", "f.yaml:11: threads.app.steps[2].dma_write.value: 256 is out of range"),
        ("value: 1", "value: one", "f.yaml:11: threads.app.steps[2].dma_write.value: a whole number from 0 to 255 is expected"),
        ("value: 1", "value: [1]", "f.yaml:11: threads.app.steps[2].dma_write.value: a whole number from 0 to 255 is expected here, not a list"),
        ("value: 1", "value: ", "f.yaml:11: threads.app.steps[2].dma_write.value: a whole number from 0 to 255 is expected here, and nothing"),
        ("label: written", "lable: written", "f.yaml:12: threads.app.steps[2].lable: unknown field 'lable'; did you mean 'label'?"),
        ("after: written", "after: writen", "f.yaml:17: threads.flusher.steps[0].after: unknown label 'writen'; did you mean 'written'?"),
        ("after: written", "after: writeback:strat", "f.yaml:17: threads.flusher.steps[0].after: unknown tracepoint 'writeback:strat'; did you mean 'writeback:start'?"),
        ("after: written", "after: written#2", "'written#2': a label is seen once"),
        ("after: written", "after: writeback:end#0", "times are counted from 1"),
        ("after: written", "after: '?'", "is not a label or a tracepoint, as 'cleaned', 'block:checksum'"),
        ("after: written", "delay: 5", "f.yaml:17: threads.flusher.steps[0].delay: '5' is not a time: a number with its unit, one of ns, us, ms, s"),
        ("after: written", "delay: 5usec", "did you mean '5us'?"),
        ("after: written", "delay: 5 ms", "did you mean '5ms'?"),
        ("after: written", "delay: 99999999999s", "99999999999s is too long: at most 1000000s"),
        ("machine:\n", "machine:\n  memory: 999999GiB\n", "f.yaml:3: machine.memory: 999999GiB is out of range: from 64KiB to 64GiB"),
        ("machine:\n", "metrics: pages_pined\nmachine:\n", "f.yaml:2: metrics[0]: unknown metric 'pages_pined'; did you mean 'pages_pinned'?"),
        ("- sync:", "- sync: {fs: xfs}", "f.yaml:16: threads.flusher.steps[0].sync.fs: unknown file system 'xfs' (valid: ext4)"),
        ("- sync:", "- sync: 3", "the arguments of 'sync' are fields"),
        ("- sync:\n", "- sync:\n        fsync: {file: data}\n", "two steps in one item: sync and fsync"),
        ("- sync:\n", "- label: x\n", "which step? Its word is missing"),
        ("title: A", "titel: A", "f.yaml:1: titel: unknown field 'titel'; did you mean 'title'?"),
        ("title: A file that is fine\n", "", "f.yaml:1: the field 'title' is missing"),
        ("machine:\n", "kernel: v5.13\nmachine:\n", "f.yaml:2: kernel: unknown kernel 'v5.13'; did you mean 'v5.12'?"),
        ("machine:\n", "policies: bouncy\nmachine:\n", "unknown policy 'bouncy'; did you mean 'bounce'?"),
        ("machine:\n", "rules: {writeback_pined: live}\nmachine:\n", "unknown rule 'writeback_pined'; did you mean 'writeback_pinned'?"),
        ("machine:\n", "rules: {writeback_pinned: bounced}\nmachine:\n", "f.yaml:2: rules.writeback_pinned: unknown value of rule writeback_pinned 'bounced'; did you mean 'bounce'?"),
        ("machine:\n", "policies: [bounce, wait-for-unpin]\nmachine:\n", "policies 'bounce' and 'wait-for-unpin' contradict each other in rule writeback_pinned"),
        ("machine:\n", "expectations: {v9: {}}\nmachine:\n", "f.yaml:2: expectations.v9: unknown kernel, platform or policy 'v9'"),
        ("machine:\n", "expectations: {v4.20: {reachable: oops}}\nmachine:\n", "unknown value of 'reachable' 'oops'"),
        ("machine:\n", "expectations: {v4.20: {reachable: data-los}}\nmachine:\n", "did you mean 'data-loss'?"),
        ("machine:\n", "machine:\n  memory: 64MB\n", "f.yaml:3: machine.memory: '64MB' is not a size: a whole number with its unit, one of KiB, MiB, GiB, as '64MiB'; did you mean '64MiB'?"),
        ("machine:\n", "machine:\n  chunks: 3\n", "f.yaml:3: machine.chunks: '3' is not possible here (valid: 1, 2, 4,"),
        ("machine:\n", "platform: arm46\nmachine:\n", "f.yaml:2: platform: unknown platform 'arm46'; did you mean 'arm64'?"),
        ("machine:\n", "platform: x86-invlpgb\nmachine:\n", "f.yaml:2: platform: there is no x86-invlpgb in v6.12"),
        ("machine:\n", "expectations: {arm64 + pae32: {}}\nmachine:\n", "'arm64 + pae32' names two platforms"),
        ("machine:\n", "machine:\n  table_bits: 10\n", "f.yaml:3: machine.table_bits: 10 is out of range: a whole number from 1 to 9"),
        ("machine:\n", "machine:\n  table_bits: 1\n  levels: 2\n", "f.yaml:3: machine.table_bits: 2 levels of 1 bit(s) leave a program 2 page(s): levels * table_bits must be 3 or more"),
        ("machine:\n", "machine:\n  levels: 2\n  table_bits: 1\n", "f.yaml:4: machine.table_bits: 2 levels of 1 bit(s)"),
        ("machine:\n", "machine:\n  levels: 7\n", "a whole number from 2 to 5 is expected"),
        ("machine:\n", "machine:\n  cpus: true\n", "a whole number from 1 to 256 is expected here, not 'true'"),
        ("    steps:\n      - sync:", "    cpu: 2\n    steps:\n      - sync:", "no cpu 2: the machine has 2, numbered from 0"),
        ("    steps:\n      - sync:", "    host: h1\n    steps:\n      - sync:", "unknown host 'h1'; did you mean 'h0'?"),
        ("app:", "App:", "f.yaml:7: threads.App: 'App' is not a name: lower-case letters"),
        ("- unpin: {pin: mr}", "- unpin: {pin: mr, how: mach}", "unknown value of 'how' 'mach'; did you mean 'match'?"),
        ("- unpin: {pin: mr}", "- unpin: {pin: mr, dirty: maybe}", "true or false is expected here, not 'maybe'"),
        ("- unpin: {pin: mr}", "- unpin: {pin: mr, label: x}", "f.yaml:13: threads.app.steps[3].unpin.label: 'label' stands beside 'unpin'"),
        ("- unpin: {pin: mr}", "- signal: {process: ap}", "unknown process 'ap'; did you mean 'app'?"),
        ("- unpin: {pin: mr}", "- waitpid: {child: flusher}", "unknown child 'flusher': no step of this process forks one"),
        ("      - sync:\n        after: written\n", "      []\n", "threads.flusher.steps: the list is empty"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_line_and_the_nearest_valid_name(old: str, new: str, message: str) -> None:
    assert message in problem(changed(old, new))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: the file is empty"),
        ("# only a comment\n", "f.yaml: the file is empty"),
        ("just words", "f.yaml:1: fields are expected here, not the text 'just words'"),
        ("- a list\n", "f.yaml:1: fields are expected here, not a list"),
        ("title: [1\nabout: x\n", "f.yaml:2: not YAML:"),
        ("title: a\ntitle: b\n", "f.yaml:2: field 'title' stands here twice, first in line 1"),
        ("title: a\n---\ntitle: b\n", "f.yaml:2: a second document starts here"),
        ("title: !!python/object:os.system x\n", "f.yaml:1: tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("title: !evil {a: 1}\n", "f.yaml:1: tag '!evil' is not allowed"),
        ("title: *nothing\n", "f.yaml:1: "),
        ("title: &a [*a]\n", "f.yaml:1: alias *a stands inside its own anchor"),
        ("? [a, b]\n: c\n", "f.yaml:1: a list or mapping cannot be the name of a field"),
        ("title: \x01\n", "not YAML"),
        ("title: x\n", "f.yaml:1: nothing happens here: neither threads nor a workload"),
        ("<<: {a: 1}\ntitle: x\n", "f.yaml:1: <<: unknown field '<<'"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_scenario_is_refused_with_its_line(text: str, message: str) -> None:
    assert problem(text).startswith(message) or message in problem(text)


def test_a_pin_must_come_before_its_use() -> None:
    text = changed("      - unpin: {pin: mr}\n", "").replace("      - pin:", "      - unpin: {pin: mr}\n      - pin:")
    assert problem(text) == "f.yaml:10: threads.app.steps[1].unpin.pin: pin 'mr' is made only by a later step"


def test_a_pin_of_another_process_is_not_known() -> None:
    text = changed("- sync:\n        after: written", "- dma_read: {pin: mr}")
    assert "no earlier step of process 'flusher' makes one with 'pin: {as: mr, ...}'" in problem(text)


def test_a_pin_of_another_thread_of_the_same_process_is_known() -> None:
    text = changed("- sync:\n        after: written", "- dma_read: {pin: mr}")
    assert load_text(text.replace("  flusher:\n", "  flusher:\n    process: app\n"))


def test_a_pin_past_the_end_of_a_mapping_is_left_to_the_kernel() -> None:
    assert load_text(changed("map: buf}", "map: buf, page: 7, pages: 9}"))


def test_two_labels_of_one_name_are_refused() -> None:
    text = changed("- sync:\n", "- sync:\n        label: written\n")
    assert "label 'written' is already that of step 3 of thread 'app'" in problem(text)


def test_a_file_name_on_two_file_systems_is_refused() -> None:
    text = changed("disks: {sda: {}}", "disks: {sda: {}, sdb: {}}")
    text = text.replace(
        "files: {data: {pages: 2}}}}", "files: {data: {pages: 2}}}, xfs: {device: sdb, files: {data: {}}}}"
    )
    assert "a file 'data' is already on 'ext4'" in problem(text)


def test_a_disk_that_is_too_small_for_its_files_is_refused() -> None:
    assert "its files take 2 blocks, its disk 'sda' has 1" in problem(changed("{sda: {}}", "{sda: {blocks: 1}}"))


def test_with_two_file_systems_a_sync_must_name_one() -> None:
    text = changed("disks: {sda: {}}", "disks: {sda: {}, sdb: {}}").replace(
        "pages: 2}}}}", "pages: 2}}}, xfs: {device: sdb}}"
    )
    assert "which file system? The machine has ext4, xfs" in problem(text)


def test_a_latency_of_nothing_is_refused() -> None:
    text = changed("machine:\n", "machine:\n  latency: [{from: 'cpu/*', base: 0ns}]\n")
    assert "f.yaml:3: machine.latency[0].base: a message takes at least 1ns" in problem(text)


def workload(fields: str) -> str:
    return f"{GOOD}workload:\n  duration: 1ms\n  generators:\n    - {fields}\n"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("memory_pressur: {every: 1us}", "unknown generator 'memory_pressur'; did you mean 'memory_pressure'?"),
        ("memory_pressure: {}", "workload.generators[0].memory_pressure: the field 'every' is missing"),
        ("memory_pressure", "the field 'every' is missing"),
        ("memory_pressure: {every: 5}", "'5' is not a time"),
        ("memory_pressure: {every: 5us..9999999s}", "5us..9999999s is too long"),
        ("memory_pressure: {every: 5us..2us}", "'5us..2us' runs backwards: the shorter time comes first"),
        ("memory_pressure: {every: 1us, pages: 4..1}", "'4..1' runs backwards: the smaller number comes first"),
        ("memory_pressure: {every: 1us, pages: many}", "'many' is not a number of pages, or a range, as '1..4'"),
        ("memory_pressure: {every: 1us, cpu: 9}", "no cpu 9: the machine has 2"),
        ("rdma_registration: {every: 1us, device: nics}", "unknown device 'nics'; did you mean 'nic'?"),
        ("fsync_cycle: {every: 1us, file: dada}", "unknown file 'dada'; did you mean 'data'?"),
        ("direct_io: {every: 1us, file: data, buffer: dada}", "unknown file 'dada'; did you mean 'data'?"),
    ],
)  # fmt: skip
def test_a_wrong_generator_is_named_with_its_line(fields: str, message: str) -> None:
    said = problem(workload(fields))
    assert message in said
    assert said.startswith("f.yaml:21: workload.generators[0]")


def test_a_file_of_a_hundred_megabytes_is_refused_without_reading_it(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    began = time.monotonic()
    with pytest.raises(ScenarioError, match=r"huge.yaml: has 104857600 bytes; a scenario file has at most 1048576"):
        load(str(huge))
    assert time.monotonic() - began < 0.5


def test_a_bomb_of_aliases_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    began = time.monotonic()
    assert "too large: more than 100000 values once its aliases are written out" in problem("\n".join(lines))
    assert time.monotonic() - began < 2


def test_a_deep_nest_is_refused() -> None:
    assert "nested deeper than 20 levels" in problem("title: " + "[" * 100_000)


def test_a_long_list_of_values_is_refused() -> None:
    assert "too large" in problem("title: [" + "1, " * 150_000 + "1]")


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"title: ok\nabout: caf\xe9\n")
    with pytest.raises(ScenarioError, match=r"latin.yaml:2: is not UTF-8 text"):
        load(str(file))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="is a directory"):
        load(str(tmp_path))


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScenarioError, match="is not a plain file"):
        load(str(tmp_path / "pipe"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.touch(mode=0o000)
    with pytest.raises(ScenarioError, match="cannot be read: Permission denied"):
        load(str(file))


def test_a_message_shows_control_characters_escaped() -> None:
    assert "'a\\x1b[31m" in problem(changed("- mmap:", '- "a\\e[31m":')).replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "- sync:",
            "- fork: {child: kid}\n",
            "threads.flusher.steps[0].fork.child: unknown process 'kid' (valid: app)",
        ),
        (
            "- sync:",
            "- fork: {child: flusher}\n",
            "threads.flusher.steps[0].fork.child: unknown process 'flusher' (valid: app)",
        ),
        (
            "- unpin: {pin: mr}",
            "- fork: {child: flusher}\n      - fork: {child: flusher}",
            "two steps fork process 'flusher'",
        ),
        (
            "        after: written\n",
            "        after: written\n      - load: {map: buf}\n",
            "no earlier step of process 'flusher' makes one",
        ),
    ],
)
def test_a_fork_that_nobody_can_carry_out(old: str, new: str, message: str) -> None:
    assert message in problem(changed(old, new))


def test_no_process_is_its_own_ancestor() -> None:
    text = changed("- sync:\n        after: written", "- fork: {child: app}").replace(
        "- unpin: {pin: mr}", "- fork: {child: flusher}"
    )
    assert "is an ancestor of process" in problem(text)


def test_a_child_knows_the_names_of_its_parent() -> None:
    text = changed("- unpin: {pin: mr}", "- fork: {child: flusher}").replace(
        "- sync:\n        after: written", "- dma_write: {pin: mr, value: 2}"
    )
    assert load_text(text).scenario.threads["flusher"].steps


def test_a_parent_that_waits_for_its_child_before_it_forks_is_refused() -> None:
    text = changed("- unpin: {pin: mr}", "- fork: {child: flusher}\n        after: synced").replace(
        "- sync:\n        after: written", "- sync:\n        label: synced"
    )
    assert "cyclic wait" in problem(text)


def test_pools_take_at_most_half_of_the_memory() -> None:
    message = problem(changed("machine:\n", "machine:\n  hugepages: 1\n"))
    assert "machine.hugepages: the huge pages take 512 of 256 pages: at most half of the memory" in message
