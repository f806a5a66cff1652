"""A cluster file is read as strictly as a scenario, and every mistake is named."""

from pathlib import Path

import pytest

from gupsim.cluster.config import read_config
from gupsim.cluster.errors import ConfigError
from gupsim.cluster.placement import placement

NODE = "nodes: [{name: n0, url: 'http://10.0.0.1:7000'}]\n"


def test_a_good_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(NODE + "place: [{actors: 'h0/*', node: n0}]\npatience: 1500ms\nlayout: spread\n")
    file = read_config(path)
    assert file.nodes[0].url == "http://10.0.0.1:7000"
    assert file.patience_seconds == 1.5
    assert file.place[0].actors == "h0/*"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("nodes: []", "names no node"),
        ("nodes: 5", "Expected `array`"),
        ("nodes: [{name: n0}]", "missing required field `url`"),
        (NODE + "colour: red", "unknown field `colour`"),
        (NODE + "patience: 5", "patience"),
        ("nodes: [{name: n0, url: 'ftp://x:1'}]", "'ftp://x:1' is not a URL like http://10.0.0.1:7000"),
        ("nodes: [{name: n0, url: 'http://x'}]", "is not a URL like"),
        ("nodes: [{name: n0, url: 'http://x:99999'}]", "is not a URL like"),
        ("nodes: [{name: n0, url: 'https://x:1'}]", "https needs tls files"),
        (NODE + "tls: {cert: a, key: b, ca: c}", "with tls the URL begins with https"),
        ("nodes: !!python/object:os.system []", "tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: &a [x]\nb: *a\nc: {", "not YAML"),
    ],
)
def test_a_mistake_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"cluster\.yaml") as caught:
        read_config(path)
    assert said in str(caught.value)


def test_the_first_placement_rule_that_matches_counts_and_hosts_stay_together() -> None:
    place = placement(["a", "b"], rules=["h0/mm=b", "h0/*=a"], hosts=4)
    assert [place.node_of(name) for name in ("h0/mm", "h0/cpu/1", "h1/mm", "h2/mm", "h3/fs/ext4")] == [1, 0, 0, 1, 1]


def test_one_host_is_spread_over_all_nodes() -> None:
    place = placement(["a", "b", "c"], hosts=1)
    assert {place.node_of(f"h0/cpu/{number}") for number in range(40)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("nodes", "said"), [(["a", "a"], "two nodes are called 'a'"), (["../x"], "'../x' is no name for a node")]
)
def test_names_of_nodes_are_checked(nodes: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        placement(nodes)
