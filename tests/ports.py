# SPDX-License-Identifier: Apache-2.0
"""Ports for what tests and benchmarks start."""
import random
import socket


def free_port():
    """A port outside the range of outgoing connections, so that it stays free until, and while, its owner is away."""
    while True:
        port = random.randrange(15000, 32000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            pass
