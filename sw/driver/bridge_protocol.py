"""What a bridge and its client say to each other before and behind the device's bytes.

A bridge with a token sends a challenge, ``kaniwa bridge 1 NONCE``. The client answers
``kaniwa client 1 ANSWER``, the HMAC-SHA256 (RFC 2104) of that line with the token as its key. So
the token itself never crosses the line. A reason ends a connection: ``kaniwa bridge: REASON``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import socket
import time
from pathlib import Path

from kaniwa.errors import DeviceError

__all__ = ["ANSWER_SECONDS", "MOST_LAST_WORDS", "NEEDED", "READY", "ask_for_the_device",
           "challenge", "clients_token", "ended", "is_an_answer", "is_the_answer", "last_words",
           "read_token", "reason_in"]

TOKEN_VARIABLE = "KANIWA_TOKEN"
LEAST_TOKEN = 16          # bytes: 128 bits, where they are random
MOST_TOKEN = 4096
NONCE_BYTES = 32          # as many as the hash has: no nonce comes twice
CHALLENGE = b"kaniwa bridge 1 "
ANSWER = b"kaniwa client 1 "
READY = b"kaniwa bridge ready"
ANSWER_BYTES = len(ANSWER) + 2 * hashlib.sha256().digest_size + 1    # with its end of line
LONGEST_REASON = 300      # characters
MOST_LAST_WORDS = LONGEST_REASON + 20
LONGEST_LINE = 400
ANSWER_SECONDS = 5.0      # of each of the two that is there
NEEDED = f"a token is needed: set {TOKEN_VARIABLE}, or add ?token-file=PATH to the device's name"

_REASON = re.compile(rb"\nkaniwa bridge: ([ -~]{1,%d})\n\Z" % LONGEST_REASON)


def read_token(path: Path) -> bytes:
    """The token in the file ``path``, without the spaces and ends of lines around it.

    Raises DeviceError where it cannot be read, or is shorter than 16 bytes.
    """
    try:
        with path.open("rb") as file:
            return _checked(file.read(MOST_TOKEN + 1), str(path))
    except OSError as error:
        raise DeviceError(f"{path}: the token cannot be read ({error.strerror})") from None


def clients_token(path: str | None) -> bytes | None:
    """The token in the file ``path``, else that of the environment's KANIWA_TOKEN, if any."""
    if path is not None:
        return read_token(Path(path))
    value = os.environ.get(TOKEN_VARIABLE)
    return _checked(os.fsencode(value), TOKEN_VARIABLE) if value else None


def _checked(text: bytes, where: str) -> bytes:
    token = text.strip()
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN:
        raise DeviceError(f"{where}: a token has {LEAST_TOKEN} to {MOST_TOKEN} bytes, this one "
                          f"{len(token)}: take `python -c 'import secrets; "
                          "print(secrets.token_hex())'`")
    return token


def challenge() -> bytes:
    """A line that was never sent before, without its end."""
    return CHALLENGE + secrets.token_hex(NONCE_BYTES).encode()


def answer_to(line: bytes, token: bytes) -> bytes:
    """The answer to the challenge ``line``, without the end of its line."""
    return ANSWER + hmac.new(token, line, hashlib.sha256).hexdigest().encode()


def is_an_answer(said: bytes) -> bool:
    """Tell the beginning of an answer, or a whole one, from a frame or garbage."""
    return said[:len(ANSWER)] == ANSWER[:len(said)] and len(said) <= ANSWER_BYTES


def is_the_answer(said: bytes, line: bytes, token: bytes) -> bool:
    """Compare a client's answer to ``line``, in a time that does not depend on it."""
    return hmac.compare_digest(said, answer_to(line, token) + b"\n")


def last_words(reason: str) -> bytes:
    """Bytes that end a connection and say why: no frame, for a zero never ends them."""
    plain = re.sub("[^ -~]", "?", " ".join(reason.split()))[:LONGEST_REASON]
    return b"\0\nkaniwa bridge: " + plain.encode() + b"\n"


def reason_in(received: bytes) -> str | None:
    """Why a bridge ended the connection, where ``received`` ends in its last words."""
    found = _REASON.search(received)
    return None if found is None else found[1].decode()


def ended(name: str, reason: str) -> DeviceError:
    """The error of a client whose connection the bridge ``name`` has ended."""
    return DeviceError(f"{name}: the bridge ended the connection: {reason}")


def ask_for_the_device(line: socket.socket, token: bytes, name: str) -> None:
    """Answer the challenge of the bridge ``name`` at the other end of ``line``.

    Its next byte is the device's then. Raises DeviceError where it refuses, or asks for no token;
    OSError where the connection fails.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    asked = _line(line, deadline, name)
    if not asked.startswith(CHALLENGE):
        raise DeviceError(f"{name}: the server asked for no token: leave {TOKEN_VARIABLE} and "
                          "token-file away, or give the bridge the token too")
    line.sendall(answer_to(asked, token) + b"\n")
    if _line(line, deadline, name) != READY:
        raise DeviceError(f"{name}: the server took no notice of the token: is it a bridge of "
                          "kaniwa?")


def _line(line: socket.socket, deadline: float, name: str) -> bytes:
    """The next line without its end, or what there is of it; nothing behind it is taken."""
    said = b""
    while len(said) < LONGEST_LINE and (left := deadline - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            byte = line.recv(1)
        except TimeoutError:
            break
        said += byte
        if (reason := reason_in(said)) is not None:
            raise ended(name, reason)
        if not byte:
            raise ConnectionResetError("the server closed it")
        if byte == b"\n" and said != b"\0\n":     # last words begin so
            break
    return said.removesuffix(b"\n")
