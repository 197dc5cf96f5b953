"""Ports for servers, from below those that the kernel lends to clients: nobody's connection is put on one meanwhile."""

import os
import socket
from itertools import count
from random import Random

LOWEST = 10_240
KERNEL = "/proc/sys/net/ipv4/ip_local_port_range"
_chance = Random(os.getpid())
_given: set[int] = set()


def lent_from() -> int:
    """The first port that the kernel gives to outgoing connections."""
    with open(KERNEL, encoding="ascii") as text:
        return int(text.read().split()[0])


def free_port() -> int:
    """One that nobody listens on, and never the same twice in this process."""
    highest = max(lent_from() - 1, LOWEST + 4096)
    for _ in count():
        port = _chance.randint(LOWEST, highest)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise AssertionError("unreachable")


def free_ports(wanted: int) -> list[int]:
    return [free_port() for _ in range(wanted)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # asked for, and given back at once
        except OSError:
            return False
    return True
