"""Strangers get nothing, and a run does not notice them."""

import asyncio
import base64
import json
import os
from pathlib import Path
from random import Random

import aiohttp
import msgspec
import pytest

from gupsim.cluster import security
from gupsim.cluster.dial import Dialler
from gupsim.cluster.errors import ConfigError, Refusal
from gupsim.cluster.security import Credentials, Hello, check_listen, read_secret
from gupsim.cluster.server import RateLimit
from gupsim.protocol.catalog import ALL_MESSAGES
from gupsim.protocol.codec import FrameError
from gupsim.protocol.node import NODE_PROTOCOL, FrameCodec, decode_control
from tests.cluster.faults import Arena

SECRET = b"correct horse battery staple"
HELLO = Hello("peer", NODE_PROTOCOL, "0.1.0", "n1", "n0", "cafe0123", "d" * 64)


def test_who_knows_the_secret_is_let_in_and_gets_a_proof_of_the_same() -> None:
    door, guest = Credentials(SECRET), Credentials(SECRET)
    nonce, mine = door.challenge(), os.urandom(16)
    hello, proof = door.examine(guest.answer(HELLO, nonce, mine))
    assert hello == HELLO
    assert guest.accepted(HELLO, nonce, mine, proof)
    assert not Credentials(b"another secret!!").accepted(HELLO, nonce, mine, proof)


def test_a_wrong_secret_is_refused() -> None:
    door = Credentials(SECRET)
    with pytest.raises(Refusal, match="wrong secret"):
        door.examine(Credentials(b"another secret!!").answer(HELLO, door.challenge(), os.urandom(16)))


def test_a_hello_is_good_once() -> None:
    door = Credentials(SECRET)
    header = Credentials(SECRET).answer(HELLO, door.challenge(), os.urandom(16))
    door.examine(header)
    with pytest.raises(Refusal, match="replayed"):
        door.examine(header)


def test_a_challenge_of_another_node_or_of_long_ago_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    door, guest = Credentials(SECRET), Credentials(SECRET)
    with pytest.raises(Refusal, match="not one of ours"):
        door.examine(guest.answer(HELLO, Credentials(SECRET).challenge(), os.urandom(16)))
    nonce = door.challenge()
    later = security.time.monotonic() + security.NONCE_LIFE + 1
    monkeypatch.setattr(security.time, "monotonic", lambda: later)
    with pytest.raises(Refusal, match="expired"):
        door.examine(guest.answer(HELLO, nonce, os.urandom(16)))


@pytest.mark.parametrize(
    "header", ["", "Basic abc", "Gupsim a.b", "Gupsim !.!.!.!", "Gupsim " + "A" * 9000, "Gupsim ..."]
)
def test_garbage_is_no_hello(header: str) -> None:
    with pytest.raises(Refusal):
        Credentials(SECRET).examine(header)


def test_changed_bytes_of_a_hello_are_noticed() -> None:
    door = Credentials(SECRET)
    words = Credentials(SECRET).answer(HELLO, door.challenge(), os.urandom(16))[7:].split(".")
    other = msgspec.msgpack.encode(msgspec.structs.replace(HELLO, name="n2"))
    with pytest.raises(Refusal, match="wrong secret"):
        door.examine("Gupsim " + ".".join((base64.urlsafe_b64encode(other).decode(), *words[1:])))


def test_without_secret_and_tls_a_node_listens_on_loopback_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        check_listen(host, Credentials())
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(ConfigError, match="loopback only"):
            check_listen(host, Credentials())
        check_listen(host, Credentials(SECRET))


def test_a_secret_that_is_short_or_open_to_all_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="16 to 4096 bytes"):
        read_secret(file)
    file.write_text("x" * 40 + "\n")
    assert read_secret(file) == b"x" * 40
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret(file)


def test_an_address_that_asks_too_often_is_held_back_and_others_are_not() -> None:
    limit = RateLimit()
    assert sum(limit.admits("10.0.0.1") for _ in range(5000)) < 5000
    assert limit.admits("10.0.0.2")
    assert all(limit.admits(f"10.1.{number // 256}.{number % 256}") for number in range(3000))


def test_garbage_between_nodes_is_one_kind_of_error() -> None:
    random = Random(1)
    codec = FrameCodec(ALL_MESSAGES)
    for _ in range(500):
        data = random.randbytes(random.randrange(60))
        with pytest.raises(FrameError):
            decode_control(data)
        with pytest.raises(FrameError):
            codec.decode(data)


async def test_a_running_node_survives_strangers_and_ends_with_the_right_hash(tmp_path: Path) -> None:
    arena = Arena(tmp_path, nodes=2)
    await arena.open()
    try:
        expected = await arena.undisturbed(0)
        config = tmp_path / "cluster.yaml"
        arena.config(2, config)
        before = [_memory(node.process.pid) for node in arena.nodes if node.process]
        storm = asyncio.create_task(_storm(arena))
        status, out, err = await arena.command(
            "cluster", "run", str(arena.scenario), "--config", str(config), "--run-dir", str(tmp_path / "run"), "--json"
        )
        thrown = await _ended(storm)
        assert status in (0, 1), err
        assert json.loads(out)["trace_sha256"] == expected
        assert thrown > 100
        after = [_memory(node.process.pid) for node in arena.nodes if node.process]
        assert all(late - early < 200 << 20 for early, late in zip(before, after, strict=True)), (before, after)
        log = arena.nodes[0].log.read_text()
        for reason in ("wrong secret", "replayed hello", "malformed hello", "no hello"):
            assert reason in log, f"{reason} is not in the log:\n{log[-2000:]}"
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{arena.nodes[0].port}/status") as seen,
        ):
            assert (await seen.json())["refused"] > 50
    finally:
        await arena.close()


async def _storm(arena: Arena) -> int:
    """Strangers of every kind, at both nodes, until cancelled."""
    thrown = 0
    random = Random(7)
    ports = [node.port for node in arena.nodes]
    slow: list[asyncio.StreamWriter] = []
    good = Credentials(arena.secret.read_bytes())
    bad = Dialler(Credentials(b"not the secret at all"))
    await bad.open()
    replayed = ""
    try:
        async with aiohttp.ClientSession() as session:
            while True:
                port = random.choice(ports)
                url = f"http://127.0.0.1:{port}"
                kind = random.randrange(8)
                thrown += 1
                if kind == 0:
                    await _raw(port, random.randbytes(random.randrange(4000)))
                elif kind == 1:
                    await _raw(port, b"GET /peer HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000)
                elif kind == 2:
                    await _raw(
                        port, b"GET /peer HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n\x82\xff" + b"\x7f" * 20
                    )
                elif kind == 3 and len(slow) < 150:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"GET /con")
                    slow.append(writer)
                elif kind == 4:
                    with pytest.raises(Refusal):
                        await bad.dial(url, "/peer", HELLO)
                elif kind == 5:
                    headers = {"Authorization": random.choice(("Gupsim xx", "Gupsim !.!.!.!", "Basic Zm9v"))}
                    async with session.get(f"{url}/control", headers=headers) as response:
                        assert response.status in (400, 401)
                elif kind == 6:
                    if not replayed:
                        async with session.get(f"http://127.0.0.1:{ports[0]}/challenge") as response:
                            nonce = await response.read()
                        stale = msgspec.structs.replace(HELLO, software="0.0.1")
                        replayed = good.answer(stale, nonce, os.urandom(16))
                    async with session.get(
                        f"http://127.0.0.1:{ports[0]}/peer", headers={"Authorization": replayed}
                    ) as response:
                        assert response.status in (409, 428)
                else:
                    async with session.post(f"{url}/status", data=b"x" * 200_000) as response:
                        assert response.status in (405, 413)
                await asyncio.sleep(0.003)
    except asyncio.CancelledError:
        return thrown
    finally:
        await bad.close()
        for writer in slow:
            writer.transport.abort()


async def _ended(storm: asyncio.Task[int]) -> int:
    if storm.done():
        return storm.result()
    storm.cancel()
    return await storm


async def _raw(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(0.05):
            await reader.read(4096)
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()


def _memory(pid: int) -> int:
    """Bytes in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
