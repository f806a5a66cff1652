"""The model against the recordings that come with gupsim: this is how well it is known to agree."""

import io
import json
from collections import Counter
from contextlib import redirect_stdout
from typing import Any

import pytest

from gupsim.cli.main import status_of

RECORDINGS = (
    "6.1.0-56-amd64",
    "6.12.117+deb12-amd64",
    "6.16.12+deb13-amd64",
    "6.18.15+deb13-amd64",
    "6.18.44",
    "7.2.12+deb13-amd64",
    "7.3.4+deb13-amd64",
)

UNSUPPORTED = {
    "madvise: PAGEOUT of shmem, which is not reclaimed": 1,
    "open: chunk > 1: the page cache has no large folios": 2,
    "the model's machine has no dax": 4,
    "the model's machine has no ksm": 4,
    "the model's machine has no movable": 2,
    "the model's machine has no disposable": 1,
    "pageflags: the model has no flag KSM": 1,
}
"""Why cases cannot be played, with how many of them."""

SKIPPED = {"6.18.44": 10}
"""Cases that the model could play, but that this machine could not."""


@pytest.fixture(scope="module")
def recordings() -> dict[str, dict[str, Any]]:
    """Everything there is, by kernel."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert status_of(["conformance", "--json"]) in (0, 1)
    return {recording["kernel"]: recording for recording in json.loads(out.getvalue())["recordings"]}


def test_all_four_recordings_are_compared(recordings: dict[str, dict[str, Any]]) -> None:
    assert tuple(sorted(recordings)) == RECORDINGS


@pytest.mark.parametrize("kernel", RECORDINGS)
def test_nothing_disagrees(recordings: dict[str, dict[str, Any]], kernel: str) -> None:
    assert recordings[kernel]["disagreed"] == []


@pytest.mark.parametrize("kernel", RECORDINGS)
def test_every_other_case_agrees(recordings: dict[str, dict[str, Any]], kernel: str) -> None:
    recording = recordings[kernel]
    assert recording["cases"] == 87
    assert Counter(other["why"] for other in recording["unsupported"]) == UNSUPPORTED
    assert len(recording["skipped"]) == SKIPPED.get(kernel, 0)
    assert recording["agreed"] == 87 - sum(UNSUPPORTED.values()) - SKIPPED.get(kernel, 0)


@pytest.mark.parametrize("area", ["accounting", "permissions", "thp", "fork", "page-cache"])
def test_these_areas_are_carried_as_a_whole(area: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["conformance", "--json", "--area", area]) == 0
    for recording in json.loads(capsys.readouterr().out)["recordings"]:
        assert recording["unsupported"] == []
        assert recording["agreed"] + len(recording["skipped"]) == recording["cases"]
