"""What a fresh clone promises: the wheel is complete, and the README's commands exist and end as they say."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CODE = ("protocol", "actors")
"""Packages that stand at the top of the tree, and within gupsim everywhere else."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that this tree gives."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([*pip, *options, str(ROOT)], check=True, timeout=60)
    (made,) = out.glob("gupsim-*.whl")
    return made


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    """Names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(set(names)) == len(names)
    return set(names)


@pytest.mark.parametrize(("folder", "kind"), [("scenarios", "*.yaml"), ("deploy", "*")])
def test_the_wheel_contains_every_scenario_and_what_a_deployment_needs(
    wheel_names: set[str], folder: str, kind: str
) -> None:
    files = {f"gupsim/data/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob(kind)}
    files = {name for name in files if "." in name or "make-secrets" in name}
    assert files
    assert files <= wheel_names


def test_the_wheel_contains_the_recordings_of_real_kernels(wheel_names: set[str]) -> None:
    data = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gupsim" / "conformance" / "data").iterdir()}
    assert len([path for path in data if path.startswith("gupsim/conformance/data/observed-")]) == 7
    assert data <= wheel_names


def test_the_wheel_contains_all_modules_and_marks_them_typed(wheel_names: set[str]) -> None:
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gupsim").rglob("*.py")}
    theirs = {f"gupsim/{path.relative_to(ROOT).as_posix()}" for name in CODE for path in (ROOT / name).rglob("*.py")}
    assert ours | theirs <= wheel_names
    assert {"gupsim/py.typed", *(f"gupsim/{name}/py.typed" for name in CODE)} <= wheel_names


def test_the_wheel_claims_one_import_name(wheel_names: set[str]) -> None:
    top_level = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"gupsim"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages that has the wheel."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.mark.parametrize(
    "arguments", [["run", "S01", "-k", "v6.12"], ["scenarios", "S03"], ["explore", "S24", "-k", "v6.12"]]
)
def test_what_is_installed_works_beside_a_project_with_packages_of_the_same_names(
    installed: Path, tmp_path: Path, arguments: list[str]
) -> None:
    for name in (*CODE, "scenarios", "deploy", "engine"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"raise SystemExit('the package {name} of the project was imported')\n")
    path = [str(tmp_path), str(installed), *(entry for entry in sys.path if "site-packages" in entry)]
    command = [sys.executable, "-S", "-P", "-m", "gupsim", *arguments]
    shown = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": ":".join(path)}, capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("name", CODE)
def test_in_the_tree_a_second_copy_is_refused(name: str) -> None:
    code = f"import {name}"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"this is gupsim.{name}: import it by that name" in shown.stderr


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


def requirements(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for extra in extras for text in optional[extra])]
    found = []
    for requirement in map(Requirement, texts):
        if requirement.name == "gupsim":
            found += requirements(*requirement.extras)
        else:
            found.append(requirement)
    return found


def test_every_dependency_has_bounds() -> None:
    for requirement in requirements("test", "lint", "docs", "bench"):
        operators = {specifier.operator for specifier in requirement.specifier}
        dated = requirement.name == "distributed"
        assert operators == ({">="} if dated else {">=", "<"}), requirement


LOCKS = {"run": (), "test": ("test",), "dev": ("test", "lint", "bench"), "docs": ("docs",)}


def locked(name: str) -> dict[str, str]:
    """The versions of a lock by package; AssertionError if one has no hash."""
    versions = {}
    for entry in (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if entry and not entry.startswith("#"):
            what, *hashes = entry.split("--hash=")
            assert hashes, what
            package, _, version = what.partition(";")[0].strip().partition("==")
            versions[canonicalize_name(package)] = version
    return versions


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_what_the_project_declares(name: str) -> None:
    versions = locked(name)
    for requirement in requirements(*LOCKS[name]):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_locks_agree_with_each_other() -> None:
    run, test, dev = (locked(name) for name in ("run", "test", "dev"))
    assert run.items() <= test.items() <= dev.items()


def test_a_project_that_tests_its_own_actors_gets_neither_linters_nor_dask() -> None:
    names = {requirement.name for requirement in requirements("pytest")}
    assert not names & {"ruff", "mypy", "import-linter", "distributed", "hypothesis", "hatchling", "pytest-xdist"}
