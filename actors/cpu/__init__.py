"""CPUs."""

from gupsim.actors.cpu.gup_fast import GupFast


class Cpu(GupFast):
    """One CPU of a host."""


__all__ = ["Cpu"]
