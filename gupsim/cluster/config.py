"""The file that names the nodes of a run: read with the scenario reader's limits, checked field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gupsim.cluster.errors import ConfigError
from gupsim.cluster.placement import Rule
from gupsim.cluster.security import Credentials, read_secret
from gupsim.protocol.units import Duration, nanoseconds
from gupsim.scenario.errors import ScenarioError, quote
from gupsim.scenario.nodes import Fields, Items, Node, parse

MAX_CONFIG: Final = 1 << 18


class NodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node: its name, and where it listens, as http://10.0.0.1:7000."""

    name: str
    url: str


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of mutual TLS, relative to the configuration."""

    cert: str
    key: str
    ca: str


class ClusterFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """nodes: all that take part. place: rules, the first match counts; layout: of all other actors. secret_file, tls:
    what all prove themselves with. patience: how long a node may be gone."""

    nodes: list[NodeEntry]
    place: list[Rule] = []
    layout: str = ""
    secret_file: str = ""
    tls: Tls | None = None
    patience: Duration = "60s"

    @property
    def patience_seconds(self) -> float:
        """`patience` as a number."""
        return nanoseconds(self.patience) / 1e9


def read_config(path: Path) -> ClusterFile:
    """ConfigError, naming file and field, for everything that can be wrong with it."""
    try:
        if path.stat().st_size > MAX_CONFIG:
            raise ConfigError(f"{path}: a cluster file has at most {MAX_CONFIG} bytes")
        tree = parse(path.read_text("utf-8-sig"))
        file = msgspec.convert(_plain(tree), ClusterFile)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except ScenarioError as error:
        raise ConfigError(str(error.of(str(path)))) from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not file.nodes:
        raise ConfigError(f"{path}: names no node")
    for node in file.nodes:
        _check_url(path, node, tls=file.tls is not None)
    return file


def credentials_of(file: ClusterFile, base: Path) -> Credentials:
    """What the file says that this process proves itself with. base: directory that its paths are relative to."""
    secret = read_secret(base / file.secret_file) if file.secret_file else b""
    tls = file.tls
    if tls is None:
        return Credentials(secret)
    return Credentials(secret, cert=base / tls.cert, key=base / tls.key, ca=base / tls.ca)


def _check_url(path: Path, node: NodeEntry, *, tls: bool) -> None:
    try:
        parts = urlsplit(node.url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port and not parts.path.strip("/")
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"{path}: node {node.name}: {quote(node.url)} is not a URL like http://10.0.0.1:7000")
    if (parts.scheme == "https") != tls:
        raise ConfigError(
            f"{path}: node {node.name}: {'https needs tls files' if not tls else 'with tls the URL begins with https'}"
        )


def _plain(node: Node) -> Any:
    if isinstance(node, Fields):
        return {name: _plain(value) for name, (_, value) in node.fields.items()}
    if isinstance(node, Items):
        return [_plain(item) for item in node.items]
    return None if node.tag == "null" else node.text
