"""Ports for the servers of tests: from a block that belongs to this process alone, whoever else tests beside it.

The operating system gives none of them to somebody who asks for any free port: they lie below its own range.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle

FIRST, LAST, BLOCK = 10_000, 32_000, 1_000
KEYS: list[socket.socket] = []
"""The socket on the first port of our block: nobody else can open it, and so nobody takes the rest."""


def free_ports(count: int) -> list[int]:
    """The next ports of the block on which nobody listens; a port comes again only after all the others."""
    return [next(port for port in block() if is_free(port)) for _ in range(count)]


@cache
def block() -> Iterator[int]:
    """The ports of this process, round and round."""
    for first in range(FIRST, LAST, BLOCK):
        if (key := opened(first)) is not None:
            KEYS.append(key)
            return cycle(range(first + 1, first + BLOCK))
    raise RuntimeError(f"Tests need a block of ports from {FIRST} to {LAST}. Received: the first of each is taken.")


def opened(port: int) -> socket.socket | None:
    """A socket that listens there; none where somebody else does."""
    key = socket.socket()
    try:
        key.bind(("127.0.0.1", port))
        key.listen()
    except OSError:
        key.close()
        return None
    return key


def is_free(port: int) -> bool:
    probe = opened(port)
    if probe is None:
        return False
    probe.close()
    return True
