"""Who is let in: a shared secret proved both ways, mutual TLS, or nobody from outside this machine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import ssl
import stat
import time
from pathlib import Path
from typing import Final

import msgspec

from gupsim.cluster.errors import ConfigError, Refusal

NONCE_LIFE: Final = 10.0
"""Seconds for which a challenge can be answered."""
ANEW: Final = 428
"""HTTP status, Precondition Required: a fresh challenge may do. A node that was restarted does not know the challenges
that it gave before, and an HTTP client may send a request twice when the connection breaks."""
SHORTEST_SECRET: Final = 16
LONGEST_SECRET: Final = 4096
_MAX_USED: Final = 4096
_MAX_HEADER: Final = 4096


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello", forbid_unknown_fields=True):
    """Who dials, and for which run. role: "peer" or "coordinator"; protocol: NODE_PROTOCOL; software: version of
    gupsim; name: of the node that dials, "" for the coordinator; to: of the node that is dialled; run; digest: of the
    plan, which holds scenario, rules, seed and placement."""

    role: str
    protocol: int
    software: str
    name: str
    to: str
    run: str
    digest: str


class Credentials:
    """What a node or coordinator proves itself with.

    secret: shared by all, b"" for none. cert, key, ca: files for mutual TLS, all or none.
    """

    def __init__(
        self, secret: bytes = b"", *, cert: Path | None = None, key: Path | None = None, ca: Path | None = None
    ) -> None:
        given = [path for path in (cert, key, ca) if path is not None]
        if given and len(given) != 3:
            raise ConfigError("TLS needs three files: the certificate, its key, and the CA that signed all of them")
        self.secret = secret
        self._files = (cert, key, ca) if cert and key and ca else None
        self._mac_key = os.urandom(32)
        self._used: dict[bytes, float] = {}

    @property
    def tls(self) -> bool:
        """True if connections are encrypted and both ends show certificates."""
        return self._files is not None

    def server_context(self) -> ssl.SSLContext | None:
        """For listening; ConfigError for unusable files."""
        return self._context(ssl.Purpose.CLIENT_AUTH)

    def client_context(self) -> ssl.SSLContext | None:
        """For dialling."""
        return self._context(ssl.Purpose.SERVER_AUTH)

    def challenge(self) -> bytes:
        """A fresh nonce. Nothing is kept of it: the nonce itself says when it was made and that we made it."""
        body = int(time.monotonic() * 1000).to_bytes(8, "big") + os.urandom(16)
        return body + hmac.digest(self._mac_key, body, "sha256")[:16]

    def answer(self, hello: Hello, nonce: bytes, mine: bytes) -> str:
        """The Authorization header of who dials. nonce: the other side's challenge; mine: a nonce of one's own."""
        encoded = msgspec.msgpack.encode(hello)
        proof = self._proof(b"dial", encoded, nonce, mine)
        return "Gupsim " + ".".join(base64.urlsafe_b64encode(part).decode() for part in (encoded, nonce, mine, proof))

    def examine(self, header: str) -> tuple[Hello, bytes]:
        """Check such a header: who it is, and our proof for them. Refusal says what is wrong."""
        encoded, nonce, mine, proof = _parts(header)
        body, tag = nonce[:-16], nonce[-16:]
        if not hmac.compare_digest(tag, hmac.digest(self._mac_key, body, "sha256")[:16]):
            raise Refusal("its challenge is not one of ours", ANEW)
        now = time.monotonic()
        age = now - int.from_bytes(body[:8], "big") / 1000
        if age > NONCE_LIFE:
            raise Refusal("its challenge has expired", ANEW)
        if not hmac.compare_digest(proof, self._proof(b"dial", encoded, nonce, mine)):
            raise Refusal("wrong secret", 401)
        if nonce in self._used:
            raise Refusal("replayed hello: this challenge was answered before", ANEW)
        # Only a proven challenge is remembered, so that nobody without the secret can fill this table.
        self._used = {used: until for used, until in self._used.items() if until > now}
        if len(self._used) >= _MAX_USED:
            raise Refusal("too many connections in a short time", 429)
        self._used[nonce] = now + NONCE_LIFE
        try:
            hello = msgspec.msgpack.decode(encoded, type=Hello)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refusal("malformed hello", 400) from None
        return hello, self._proof(b"accept", encoded, nonce, mine)

    def accepted(self, hello: Hello, nonce: bytes, mine: bytes, proof: bytes) -> bool:
        """True if the other side knows the secret, too."""
        expected = self._proof(b"accept", msgspec.msgpack.encode(hello), nonce, mine)
        return hmac.compare_digest(proof, expected)

    def _proof(self, label: bytes, *parts: bytes) -> bytes:
        mac = hmac.new(self.secret or b"no secret", label, hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(4, "big"))
            mac.update(part)
        return mac.digest()

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext | None:
        if self._files is None:
            return None
        cert, key, ca = self._files
        try:
            context = ssl.create_default_context(purpose, cafile=str(ca))
            context.load_cert_chain(str(cert), str(key))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"TLS files {cert}, {key}, {ca}: {error}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def read_secret(path: Path) -> bytes:
    """The secret in a file, without surrounding blanks. ConfigError if it is short, or readable for everybody."""
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes()[: LONGEST_SECRET + 1].strip()
    except OSError as error:
        raise ConfigError(f"secret {path}: {error.strerror or error}") from None
    if mode & stat.S_IROTH:
        raise ConfigError(f"secret {path} is readable for everybody: chmod 600 {path}")
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ConfigError(f"secret {path}: a secret has {SHORTEST_SECRET} to {LONGEST_SECRET} bytes, not {len(secret)}")
    return secret


def check_listen(host: str, credentials: Credentials) -> None:
    """ConfigError if a node would listen to strangers."""
    if credentials.secret or credentials.tls or is_loopback(host):
        return
    raise ConfigError(
        f"a node without secret and TLS listens on loopback only, not on {host}: give --secret-file, or --tls-cert,"
        " --tls-key and --tls-ca"
    )


def is_loopback(host: str) -> bool:
    """True for localhost and for addresses of this machine that nobody else reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parts(header: str) -> tuple[bytes, bytes, bytes, bytes]:
    kind, _, rest = header.partition(" ")
    pieces = rest.split(".")
    if kind != "Gupsim" or len(pieces) != 4 or len(header) > _MAX_HEADER:
        raise Refusal("no hello", 401)
    try:
        parts = [base64.b64decode(piece, altchars=b"-_", validate=True) for piece in pieces]
    except ValueError:
        raise Refusal("malformed hello", 400) from None
    if len(parts[1]) != 40 or len(parts[2]) != 16 or len(parts[3]) != 32:
        raise Refusal("malformed hello", 400)
    return parts[0], parts[1], parts[2], parts[3]
