"""All messages and tracepoints that there are, one line a subsystem."""

from __future__ import annotations

from protocol import (
    block,
    cpu,
    director,
    dma,
    driver,
    engine,
    fabric,
    flusher,
    fs,
    kernel,
    memmap,
    memory,
    message,
    mm,
    observer,
    pagetable,
    process,
    reclaim,
)
from protocol.message import Message, Tracepoint

ALL_MESSAGES: tuple[type[Message], ...] = (
    *message.MESSAGES,
    *kernel.MESSAGES,
    *process.MESSAGES,
    *cpu.MESSAGES,
    *mm.MESSAGES,
    *pagetable.MESSAGES,
    *memmap.MESSAGES,
    *memory.MESSAGES,
    *fs.MESSAGES,
    *flusher.MESSAGES,
    *reclaim.MESSAGES,
    *block.MESSAGES,
    *driver.MESSAGES,
    *dma.MESSAGES,
    *fabric.MESSAGES,
    *director.MESSAGES,
    *observer.MESSAGES,
)
ALL_TRACEPOINTS: tuple[type[Tracepoint], ...] = (
    *engine.TRACEPOINTS,
    *kernel.TRACEPOINTS,
    *process.TRACEPOINTS,
    *cpu.TRACEPOINTS,
    *mm.TRACEPOINTS,
    *pagetable.TRACEPOINTS,
    *memmap.TRACEPOINTS,
    *memory.TRACEPOINTS,
    *fs.TRACEPOINTS,
    *flusher.TRACEPOINTS,
    *reclaim.TRACEPOINTS,
    *block.TRACEPOINTS,
    *driver.TRACEPOINTS,
    *dma.TRACEPOINTS,
    *fabric.TRACEPOINTS,
    *observer.TRACEPOINTS,
)
