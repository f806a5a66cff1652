"""What lies in deploy/ is well-formed, agrees with the command line, and its certificates really work."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gupsim.cluster.children import free_port
from gupsim.cluster.config import read_config
from tests.cluster.test_cluster_cli import GUPSIM, digest_of_one_process

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
WORDS: dict[str, Any] = {"type": "array", "items": TEXT}
CONTAINER: dict[str, Any] = {
    "type": "object",
    "required": ["name", "image", "args", "securityContext", "volumeMounts"],
    "properties": {
        "args": WORDS,
        "securityContext": {
            "properties": {"allowPrivilegeEscalation": {"const": False}, "readOnlyRootFilesystem": {"const": True}},
            "required": ["allowPrivilegeEscalation", "readOnlyRootFilesystem"],
        },
        "volumeMounts": {"type": "array", "items": {"type": "object", "required": ["name", "mountPath"]}},
    },
}
POD: dict[str, Any] = {
    "type": "object",
    "required": ["metadata", "spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers", "securityContext"],
            "properties": {"containers": {"type": "array", "minItems": 1, "items": CONTAINER}},
        }
    },
}
KINDS: dict[str, dict[str, Any]] = {
    "Service": {"required": ["spec"], "properties": {"spec": {"required": ["selector", "ports"]}}},
    "ConfigMap": {"required": ["data"], "properties": {"data": {"additionalProperties": TEXT}}},
    "StatefulSet": {
        "required": ["spec"],
        "properties": {
            "spec": {
                "required": ["serviceName", "replicas", "selector", "template", "volumeClaimTemplates"],
                "properties": {"template": POD},
            }
        },
    },
    "Job": {"required": ["spec"], "properties": {"spec": {"required": ["template"], "properties": {"template": POD}}}},
}
COMPOSE: dict[str, Any] = {
    "type": "object",
    "required": ["services", "secrets", "volumes", "configs"],
    "properties": {
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image", "secrets", "volumes", "read_only"],
                "properties": {"command": WORDS, "volumes": WORDS, "secrets": WORDS, "cap_drop": {"const": ["ALL"]}},
            },
        }
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": {"type": "object"},
}


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


def options_of(*command: str) -> set[str]:
    words = subprocess.run([*GUPSIM, *command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z-]+", words))


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document["kind"]))
def test_a_kubernetes_object_has_what_its_kind_needs(document: dict[str, Any]) -> None:
    assert document["apiVersion"] in {"v1", "apps/v1", "batch/v1"}
    assert re.fullmatch(r"[a-z0-9-]+", document["metadata"]["name"])
    jsonschema.validate(document, KINDS[document["kind"]])


def test_every_mount_of_a_pod_has_its_volume_and_every_probe_its_port() -> None:
    for document in documents():
        template = document.get("spec", {}).get("template")
        if template is None:
            continue
        spec = template["spec"]
        there = {volume["name"] for volume in spec.get("volumes", [])}
        there |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        for container in spec["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= there
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("livenessProbe", "readinessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in ports
                    assert container[probe]["httpGet"]["path"] in {"/healthz", "/readyz"}


def test_the_cluster_files_are_such_and_name_the_nodes_that_there_are(tmp_path: Path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    jsonschema.validate(compose, COMPOSE)
    services = {name for name in compose["services"] if name != "run"}
    assert {node.name for node in read_config(DEPLOY / "cluster.yaml").nodes} == services
    found = next(document for document in documents() if document["kind"] == "ConfigMap")
    (tmp_path / "cluster.yaml").write_text(found["data"]["cluster.yaml"])
    replicas = next(document for document in documents() if document["kind"] == "StatefulSet")["spec"]["replicas"]
    assert len(read_config(tmp_path / "cluster.yaml").nodes) == replicas


def test_all_commands_in_deploy_use_options_that_exist() -> None:
    for file in ("Containerfile", "compose.yaml", "kubernetes.yaml", "gupsim-node.service"):
        for line in (DEPLOY / file).read_text().splitlines():
            words = re.findall(r"[a-z./0-9-]+", line) if not line.lstrip().startswith("#") else []
            command = ("node",) if "node" in words and "--listen" in words else ("cluster", "run")
            if "--listen" in words or "--run-dir" in words:
                assert {word for word in words if word.startswith("--")} <= options_of(*command), line


def test_the_container_file_copies_what_is_there_and_runs_without_root() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    instructions = {line.split()[0] for line in lines if re.match(r"[A-Z]+ ", line)}
    assert instructions <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
                            "ENTRYPOINT", "CMD"}  # fmt: skip
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (DEPLOY.parent / source).exists(), source
    user = [number for number, line in enumerate(lines) if line.startswith("USER ")]
    assert lines[user[-1]] != "USER root"
    assert all(not line.startswith("RUN ") for line in lines[user[-1] :])
    for line in lines:
        if line.startswith(("CMD", "ENTRYPOINT")):
            json.loads(line.partition(" ")[2])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "gupsim-node.service"
    shutil.copy(DEPLOY / "gupsim-node.service", unit)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "gupsim-node.service" not in done.stderr, done.stderr


async def test_the_test_ca_joins_nodes_by_mutual_tls_and_keeps_others_out(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    for folder in ("secrets", "strangers"):
        _make_secrets(tmp_path / folder)
    ports = [free_port(), free_port()]

    def words(folder: str, option: str) -> list[str]:
        base = tmp_path / folder
        return [f"--{option}-cert", f"{base}/127.0.0.1.pem", f"--{option}-key", f"{base}/127.0.0.1.key",
                f"--{option}-ca", f"{base}/ca.pem"]  # fmt: skip

    nodes = [
        await asyncio.create_subprocess_exec(
            *GUPSIM, "node", "--listen", f"127.0.0.1:{port}", "--state", str(tmp_path / f"state{port}"),
            *words("secrets", "tls"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for port in ports
    ]  # fmt: skip
    try:
        for node in nodes:
            assert node.stdout is not None
            assert b"https://127.0.0.1:" in await node.stdout.readline()
        results = []
        for folder in ("secrets", "strangers"):
            config = tmp_path / f"{folder}.yaml"
            config.write_text(
                f"tls: {{cert: {folder}/127.0.0.1.pem, key: {folder}/127.0.0.1.key, ca: {folder}/ca.pem}}\n"
                "patience: 1s\nnodes:\n"
                + "".join(f"  - {{name: n{k}, url: 'https://127.0.0.1:{port}'}}\n" for k, port in enumerate(ports))
            )
            process = await asyncio.create_subprocess_exec(
                *GUPSIM, "cluster", "run", "S31", "--config", str(config), "--run-dir", str(tmp_path / f"run-{folder}"),
                "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            results.append((process.returncode, out.decode(), err.decode()))
    finally:
        for node in nodes:
            node.terminate()
            await node.communicate()
    (status, out, err), (refused, _, why) = results
    assert status in (0, 1), err
    assert json.loads(out)["trace_sha256"] == digest_of_one_process("S31")
    assert refused == 69
    assert re.search(r"node n[01] at https://127\.0\.0\.1:\d+ does not answer", why)


def _make_secrets(folder: Path) -> None:
    subprocess.run([DEPLOY / "make-secrets", folder, "127.0.0.1"], check=True, capture_output=True)
