"""`S01`, a file name or a path all name a scenario, from any folder."""

import json
from pathlib import Path

import pytest

from gupsim.scenario.errors import ScenarioError
from gupsim.scenario.find import shipped
from gupsim.scenario.load import load
from tests.cli.run_cli import ROOT, gupsim

MINE = "title: mine\nthreads: {app: {steps: [{wait: {time: 1us}}]}}\n"


@pytest.mark.parametrize(
    "name",
    ["S01", "s01", "S01-buffers-stripped", "S01-buffers-stripped.yaml", "writeback/S01-buffers-stripped.yaml"],
)
def test_every_way_to_name_a_shipped_scenario_finds_it_from_another_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(name)
    assert loaded.scenario.title.startswith("Buffers stripped")
    assert loaded.file == "scenarios/writeback/S01-buffers-stripped.yaml"


def test_a_path_names_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    assert load(str(tmp_path / "mine.yaml")).scenario.title == "mine"
    monkeypatch.chdir(tmp_path)
    assert load("mine.yaml").file == "mine.yaml"


def test_a_file_that_is_there_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "S01").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    assert load("S01").scenario.title == "mine"


def test_a_folder_called_like_a_scenario_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "S01").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("S01").scenario.title.startswith("Buffers stripped")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("S0l", "S0l: no scenario has this name, and there is no such file; did you mean 'S01'?"),
        ("S01-bufers-stripped", "did you mean 'S01-buffers-stripped'?"),
        ("quux", "'gupsim scenarios' lists those that come with it"),
        ("nowhere/S01.yaml", "nowhere/S01.yaml: there is no such file; did you mean 'S01'?"),
        ("", "the name of a scenario is empty"),
        ("a\0b", "'a\\x00b' is not a file name"),
        ("x" * 5000, "is not a file name"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one_or_how_to_list_them(name: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(name)
    assert message in str(caught.value)


def test_a_folder_called_scenarios_does_not_mix_with_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "scenarios" / "mine").mkdir(parents=True)
    (tmp_path / "scenarios" / "mine" / "S01-mine.yaml").write_text(MINE)
    listed = json.loads(gupsim("scenarios", "--json", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}").stdout)
    assert [entry["file"] for entry in listed["scenarios"]] == [entry.name for entry in shipped()]


def test_each_shipped_scenario_has_an_id_of_its_own() -> None:
    ids = [entry.ident for entry in shipped()]
    assert len(ids) == len(set(ids))
    assert {"S01", "S02", "S03", "S04", "S05", "S31", "S35"} <= set(ids)
