"""Platforms: what an architecture or a hypervisor changes in an era, whose presets are x86 without one (B1, B4)."""

from __future__ import annotations

import msgspec

from gupsim.actors.rules.pins import FastGup, PteRead, PteSpecial
from gupsim.actors.rules.tables import TableFree, TlbFlush
from gupsim.actors.rules.value import RuleValue

Changes = dict[str, RuleValue]


class Platform(msgspec.Struct, frozen=True):
    """One platform.

    about: one line. rules: what it changes in every era that it exists in. then: by era, what was otherwise then.
    eras: those that it exists in, () for all. since: why not in the others.
    """

    about: str
    rules: Changes = {}
    then: dict[str, Changes] = {}
    eras: tuple[str, ...] = ()
    since: str = ""

    def exists_in(self, era: str) -> bool:
        """Could a kernel of this era run on it?"""
        return not self.eras or era in self.eras

    def changes(self, era: str) -> Changes:
        """What it changes in an era."""
        return {**self.rules, **self.then.get(era, {})}


X86 = "x86"
"""The platform that the presets of the eras are written for."""

_BROADCAST: Changes = {"tlb_flush": TlbFlush.BROADCAST, "table_free": TableFree.RCU}
_ARM: Changes = {**_BROADCAST, "fast_gup": FastGup.GENERIC}
_ARM_3_17: Changes = {"fast_gup": FastGup.NONE, "table_free": TableFree.IPI}
"""The generic walk and tables freed by RCU came together, in 3.18 [S 3.17]: tables were free after the flush."""

PLATFORMS: dict[str, Platform] = {
    X86: Platform("without a hypervisor: what the eras themselves describe"),
    "x86-paravirt": Platform(
        "a guest of KVM, Hyper-V or Xen: nobody waits for a preempted virtual CPU to flush",
        {"tlb_flush": TlbFlush.PARAVIRT, "table_free": TableFree.RCU},
        then={"v3.17": {"table_free": TableFree.IPI}},
    ),
    "x86-invlpgb": Platform(
        "AMD with INVLPGB: TLBs are flushed by broadcast, interrupts off or not",
        _BROADCAST,
        eras=("v6.16", "v6.17", "v6.18", "v7.2", "v7.3"),
        since="Linux uses INVLPGB from 6.15 on",
    ),
    "arm64": Platform(
        "TLBs are flushed by broadcast, page tables freed by RCU; no fast walk in v3.17",
        _ARM,
        then={"v3.17": _ARM_3_17},
    ),
    "arm-nospecial": Platform(
        "32-bit ARM without LPAE: as arm64, but its entries have no special bit",
        {**_ARM, "pte_special": PteSpecial.NO},
        then={"v3.17": _ARM_3_17},
    ),
    "pae32": Platform(
        "32-bit x86 with PAE: an entry is two words, read low, high and low again",
        {"pte_read": PteRead.LOOPED},
    ),
}
"""Name of a platform and what it changes."""
