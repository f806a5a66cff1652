"""Two contexts at one page: what the locks of the file system are for. Each race runs under many orders."""

from __future__ import annotations

from functools import partial

from gupsim.protocol import fs, memmap
from gupsim.protocol.memmap import Page
from tests.actors.fs_world import FS, MEMMAP, PAGE_SIZE, F, Script, run

SEEDS = 80


def test_writeback_never_takes_the_tag_from_a_page_that_is_dirty_again() -> None:
    """The tree lock: flag and tag change together in set_page_writeback()."""

    async def body(script: Script, delay: int) -> object:
        await script.write(F, 0, 0x33)
        pfn, _, _ = await script.page()
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, clear=Page.DIRTY))
        script.thread(later(script, pfn, delay), "driver")
        await script.ask(FS, fs.WritePage(pfn, F, 0, source=pfn))
        await script.sleep(1_000_000)
        return bool(await script.flags(pfn) & Page.DIRTY), (await script.page())[2]

    async def later(script: Script, pfn: int, delay: int) -> None:
        await script.sleep(delay)
        await script.ask(FS, fs.SetPageDirty(pfn, F, 0, "driver/nic"))

    for seed in range(SEEDS):
        assert run(partial(body, delay=10 * seed), seed=seed, shuffle=True).result == (True, True)


def test_a_page_dirtied_by_the_last_user_before_it_let_go_is_never_removed() -> None:
    """S33: with the dirty test before the freeze, SetPageDirty() and put_page() could both fall in between."""

    async def user(script: Script, pfn: int) -> None:
        await script.ask(MEMMAP, memmap.ChangeFlags(pfn, set=Page.DIRTY))
        await script.ask(MEMMAP, memmap.PutRefs(pfn, 1, "lookup", "driver"))

    async def body(script: Script, delay: int) -> object:
        await script.read(F)
        pfn, _, _ = await script.page()
        await script.ask(MEMMAP, memmap.GetRefs(pfn, 1, "lookup", "driver"))
        script.thread(user(script, pfn), "driver")
        await script.sleep(delay)
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        removed = (await script.ask(FS, fs.RemoveMapping(pfn, F, 0, 1))).yes
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))
        await script.sleep(1_000_000)
        return removed, (await script.page())[0], await script.refs(pfn)

    for seed in range(3 * SEEDS):
        delay = 10 * (seed % 8)
        assert run(partial(body, delay=delay), seed=seed, shuffle=True).result == (False, 1, 1)


def test_a_fault_that_waited_for_a_page_that_was_thrown_out_gets_a_new_one() -> None:
    async def fault(script: Script, found: list[tuple[str, int]]) -> None:
        pfn = (await script.ask(FS, fs.FilemapFault(F, 0))).pfn
        mapping = await script.ask(MEMMAP, memmap.ReadMapping(pfn))
        found.append((mapping.fs, mapping.ino))
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))

    async def body(script: Script) -> object:
        await script.read(F)
        pfn, _, _ = await script.page()
        await script.ask(MEMMAP, memmap.LockPage(pfn))
        found: list[tuple[str, int]] = []
        script.thread(fault(script, found), "faulter")
        await script.sleep(10_000)
        removed = (await script.ask(FS, fs.RemoveMapping(pfn, F, 0, 2))).yes
        await script.ask(MEMMAP, memmap.UnfreezeRefs(pfn, 1))  # the cache's reference went
        await script.ask(MEMMAP, memmap.UnlockPage(pfn))
        await script.sleep(1_000_000)
        return removed, found

    assert run(body).result == (True, [(FS, F)])


def test_a_fault_during_a_direct_write_may_bring_back_the_old_content_but_it_is_thrown_out_again() -> None:
    async def reader(script: Script, address: int, delay: int) -> None:
        await script.sleep(delay)
        await script.load(address)

    async def body(script: Script, delay: int) -> object:
        address = await script.map_file()
        buffer = await script.map_anon()
        await script.store(buffer, 0x55, PAGE_SIZE)
        script.thread(reader(script, address, delay), "reader")
        await script.direct(F, buffer, from_disk=False)
        await script.sleep(1_000_000)
        return await script.load(address), (await script.read(F)).data[0]

    for seed in range(SEEDS):
        assert run(partial(body, delay=40 * seed), seed=seed, shuffle=True).result == (0x55, 0x55)


def test_end_of_writeback_never_takes_the_tag_of_the_next_writeback() -> None:
    """Otherwise an fsync would not wait for the second one."""

    async def body(script: Script) -> object:
        await script.write(F, 0, 1)
        script.thread(flush(script), "kworker")
        await script.until("writeback:start")
        await script.write(F, 0, 2)
        error = await script.fsync()
        return error, (await script.on_disk(4)).durable, await script.disk_bytes(4)

    for seed in range(SEEDS):
        outcome = run(body, seed=seed, shuffle=True, chunk_time=100_000, watch=("writeback:start",))
        assert outcome.result == (0, True, (2, 2))


async def flush(script: Script) -> None:
    await script.writeback(F)
