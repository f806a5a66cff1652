"""A task: the threads of a scenario, step by step, and the seeded clients of a workload."""

from actors.process.process import Process
from actors.process.spec import ProcessSpec, ThreadSpec

__all__ = ["Process", "ProcessSpec", "ThreadSpec"]
