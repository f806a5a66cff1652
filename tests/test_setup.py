"""What a fresh clone promises: the wheel is complete, and the README's commands exist and end as they say."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("protocol", "actors", "gupsim")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel that this tree gives."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([*pip, *options, str(ROOT)], check=True, timeout=60)
    (wheel,) = out.glob("gupsim-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_contains_every_scenario_file(wheel_names: set[str]) -> None:
    scenarios = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scenarios").rglob("*.yaml")}
    assert scenarios
    assert scenarios <= wheel_names


def test_the_wheel_contains_the_recordings_of_real_kernels(wheel_names: set[str]) -> None:
    data = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gupsim" / "conformance" / "data").iterdir()}
    assert len([path for path in data if path.startswith("gupsim/conformance/data/observed-")]) == 7
    assert data <= wheel_names


def test_the_wheel_contains_the_three_packages_and_marks_them_typed(wheel_names: set[str]) -> None:
    assert {f"{package}/py.typed" for package in CODE} <= wheel_names
    modules = [path for package in CODE for path in (ROOT / package).rglob("*.py")]
    assert {path.relative_to(ROOT).as_posix() for path in modules} <= wheel_names


def test_the_wheel_contains_nothing_else_than_the_packages_and_the_scenarios(wheel_names: set[str]) -> None:
    top_level = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {*CODE, "scenarios"}


def test_the_readme_shows_make_demo_and_make_test_before_anything_else() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^    (make \w+)", readme, re.MULTILINE)[:2] == ["make demo", "make test"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("gupsim_exit", "demo_succeeds"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_demo_succeeds_with_and_without_a_violation_and_fails_otherwise(
    tmp_path: Path, gupsim_exit: int, demo_succeeds: bool
) -> None:
    command = tmp_path / "bin" / "gupsim"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@"\nexit {gupsim_exit}\n', encoding="utf-8")
    command.chmod(0o755)
    for stamp in (".made", ".run"):
        (tmp_path / stamp).touch()
    demo = subprocess.run(
        ["make", "--silent", "-C", str(ROOT), "demo", f"VENV={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert demo.stdout == "run S01\n"
    assert (demo.returncode == 0) is demo_succeeds


def test_every_dependency_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    assert [requirement for requirement in requirements if ">=" not in requirement] == []
