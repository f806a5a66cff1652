"""What is begun and undone leaves nothing behind, in every interleaving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run_cli import gupsim

SPLIT = """
title: a fast pin of a whole huge page against a split
machine: {cpus: 2, memory: 256KiB, levels: 3, table_bits: 2, devices: {nic: {}}}
kernel: KERNEL
threads:
  app:
    steps:
      - mmap: {as: buf, pages: 4, align: 16384}
      - madvise: {map: buf, advice: hugepage}
      - store: {map: buf, value: 1}
        label: ready
      - pin: {as: mr, device: nic, map: buf, pages: 4, flags: [write, pin, fast, fast_only]}
      - unpin: {pin: mr}
      - exit
  other:
    process: app
    cpu: 1
    begins: ready
    steps:
      - madvise: {map: buf, page: 1, pages: 1, advice: dontneed}
"""
EXIT = """
title: a process ends while another thread of it pins
machine: {cpus: 2, memory: 64KiB, levels: 2, table_bits: 3, devices: {nic: {}}}
kernel: KERNEL
threads:
  app:
    steps:
      - mmap: {as: buf}
        label: ready
      - pin: {as: mr, device: nic, map: buf, flags: [write]}
  other:
    process: app
    cpu: 1
    begins: ready
    steps:
      - exit
"""


@pytest.mark.parametrize("kernel", ["v5.12", "v6.12"])
@pytest.mark.parametrize("text", [SPLIT, EXIT], ids=["split", "exit"])
def test_no_reference_is_left(text: str, kernel: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text.replace("KERNEL", kernel))
    told = json.loads(gupsim("explore", "mine.yaml", "--json", cwd=tmp_path).stdout)
    assert told["complete"]
    assert told["violations"] == []
    assert told["traces"] > 3
