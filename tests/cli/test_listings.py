"""`gupsim scenarios`, `rules`, `kernels`, `--version`, `--help`: what there is, for people and for programs."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gupsim.actors.rules import ERAS, PLATFORMS, POLICIES
from gupsim.cli.main import status_of
from gupsim.scenario.choices import RULES
from gupsim.scenario.find import shipped
from gupsim.scenario.load import load
from gupsim.scenario.schema import scenario_schema
from tests.cli.run_cli import ROOT, gupsim


def listed(*arguments: str) -> Any:
    result = gupsim(*arguments, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def test_scenarios_lists_every_file_that_comes_with_it(tmp_path: Path) -> None:
    shown = gupsim("scenarios", cwd=tmp_path)
    assert shown.returncode == 0
    told = listed("scenarios")["scenarios"]
    assert [entry["file"] for entry in told] == [entry.name for entry in shipped()]
    for entry in told:
        assert entry["id"] in shown.stdout
        assert entry["title"] in " ".join(shown.stdout.split())


def test_one_scenario_is_printed_as_it_is_so_that_it_can_be_changed(tmp_path: Path) -> None:
    shown = gupsim("scenarios", "S01").stdout
    assert shown == shipped()[0].path.read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(shown)
    assert gupsim("scenarios", "mine.yaml", cwd=tmp_path).stdout == shown


def test_one_scenario_as_json_is_valid_by_the_schema() -> None:
    told = listed("scenarios", "S01")
    jsonschema.validate(told["scenario"], scenario_schema())
    assert told["digest"] == load("S01").digest


def test_the_schema_is_printed() -> None:
    assert json.loads(gupsim("scenarios", "--schema").stdout) == scenario_schema()


def test_rules_explains_every_rule_and_the_value_that_each_era_has() -> None:
    told = listed("rules")["rules"]
    assert [rule["rule"] for rule in told] == list(RULES)
    for rule in told:
        assert rule["about"]
        assert sorted(era for value in rule["values"] for era in value["eras"]) == sorted(ERAS)
    shown = gupsim("rules").stdout
    assert all(rule in shown for rule in RULES)


def test_one_rule_is_explained() -> None:
    told = listed("rules", "writeback_pinned")
    bounce = next(value for value in told["values"] if value["value"] == "bounce")
    assert bounce["policies"] == ["bounce"]
    assert "P6: writes a snapshot" in gupsim("rules", "writeback_pinned").stdout


def test_a_rule_names_the_platforms_that_set_it_and_when() -> None:
    told = listed("rules", "fast_gup")
    setting = {value["value"]: value["platforms"] for value in told["values"]}
    assert setting["none"] == {"arm64": ["v3.17"], "arm-nospecial": ["v3.17"]}
    assert setting["generic"]["arm64"] == list(ERAS)[1:]
    shown = gupsim("rules", "fast_gup").stdout
    assert "platforms: arm64 (v3.17), arm-nospecial (v3.17)" in shown
    assert "platforms: x86-paravirt\n" in gupsim("rules", "tlb_flush").stdout


def test_kernels_lists_eras_platforms_and_policies() -> None:
    told = listed("kernels")
    assert [kernel["kernel"] for kernel in told["kernels"]] == list(ERAS)
    assert [platform["platform"] for platform in told["platforms"]] == list(PLATFORMS)
    assert [policy["policy"] for policy in told["policies"]] == list(POLICIES)
    invlpgb = next(platform for platform in told["platforms"] if platform["platform"] == "x86-invlpgb")
    assert invlpgb["kernels"] == ["v6.16", "v6.17", "v6.18", "v7.2", "v7.3"]
    shown = gupsim("kernels").stdout
    assert all(name in shown for name in (*ERAS, *PLATFORMS, *POLICIES))


def test_two_kernels_are_compared() -> None:
    told = listed("kernels", "5.12", "v5.19")
    rules = {change["rule"]: (change["from"], change["to"]) for change in told["differences"]}
    assert rules["dirty_without_buffers"] == ("bug", "discard")
    assert "debug_vm" not in rules
    assert "dirty_without_buffers" in gupsim("kernels", "5.12", "v5.19").stdout
    assert "do not differ" in gupsim("kernels", "v6.12", "6.12").stdout
    told = listed("kernels", "v4.20", "x86-paravirt + v4.20")
    assert (told["from"], told["to"]) == ("v4.20", "v4.20 + x86-paravirt")
    assert {change["rule"] for change in told["differences"]} == {"tlb_flush", "table_free"}


def test_one_kernel_is_shown_in_full() -> None:
    assert listed("kernels", "v4.20 + bounce")["rules"]["writeback_pinned"] == "bounce"
    assert "writeback_pinned" in gupsim("kernels", "v4.20 + bounce").stdout


def test_the_version_is_that_of_the_package() -> None:
    assert gupsim("--version").stdout == f"gupsim {version('gupsim')}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "--help"], ["-h"]])
def test_help_is_a_result_and_no_error(arguments: list[str]) -> None:
    shown = gupsim(*arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage" in shown.stdout


def test_an_internal_error_is_one_line_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> str:
        raise RuntimeError(f"cannot describe {name}")

    monkeypatch.setattr("gupsim.cli.rules.describe", broken)
    assert status_of(["rules", "debug_vm", "--json"]) == 70
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "gupsim: internal error: RuntimeError: cannot describe debug_vm; --debug shows where\n"
    assert status_of(["rules", "debug_vm", "--json", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_the_page_of_all_options_is_what_the_commands_have(tmp_path: Path) -> None:
    made = tmp_path / "options.md"
    command = [sys.executable, "-m", "typer", "gupsim.cli.main", "utils", "docs", "--name", "gupsim", "--output"]
    subprocess.run([*command, str(made)], cwd=ROOT, check=True, capture_output=True)
    kept = ROOT / "docs" / "reference" / "options.md"
    assert kept.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), "run: make options"
