"""A task: the threads of a scenario, step by step, and the seeded clients of a workload."""

from gupsim.actors.process.process import Process
from gupsim.actors.process.spec import ProcessSpec, ThreadSpec

__all__ = ["Process", "ProcessSpec", "ThreadSpec"]
