# SPDX-License-Identifier: Apache-2.0
"""Clients that go away: before dispatch, before the first byte and in the middle, over HTTP/1 and HTTP/2.

The gateway notices within a second, the node stops generating, and what it produced is settled, once.
"""
import collections
import json
import os
import signal
import socket
import struct
import time

import h2.config
import h2.connection
import pytest

from cluster import SLOW, wait_for
from parts import Parts
from sealclient import Client

ROUNDS = 20 if os.environ.get("SEALWAY_LONG") and SLOW == 1 else 1
NOTICED_S = 1
WORDS, RATE = 600, 20  # half a minute of work for the node
counted, slowest = collections.Counter(), collections.Counter()


class System(Parts):
    def __init__(self):
        super().__init__(f"echo:rate={RATE}")
        self.number = 20000
        self.start("broker", "--heartbeat-ms", "200")
        self.start_all(("worker", "gateway", "node"))
        self.operate()
        self.ready()
        wait_for("a first answer", lambda: self.ask().returncode == 0)
        self.client = Client(self.url, self.token)

    def json(self, *args):
        return json.loads(self.run(*args, "--json"))

    def requests(self):
        return self.json("request", "list")["requests"]

    def bill(self, units):
        def rows():
            return [r for r in map(json.loads, self.run("ledger", "export").splitlines()) if r["units"] == units]
        found = wait_for(f"the settlement of {units}", rows, 20)
        assert len(found) == 1, found
        return found[0]

    def signal(self, name, number):
        os.kill(getattr(self, name).p.pid, number)

    def running(self):
        return self.node.metrics()["sealway_node_answers_running"]


@pytest.fixture(scope="module")
def system():
    with System() as s:
        yield s
        assert not s.requests()
        assert s.json("ledger", "check") == {"ok": True, "problems": []}
        spent = sum(x["spent"] for x in s.json("stack", "list")["stacks"])
        assert spent == sum(json.loads(x)["billed"] for x in s.run("ledger", "export").splitlines())
    for (stage, how), n in sorted(counted.items()):
        print(f"  gone {stage:15} {how:9} {n:3} rounds, noticed within {slowest[stage, how]:.2f} s")


class Leaver:
    """A client with one streamed request, which leaves in one of several ways."""

    def __init__(self, s, how):
        s.number += 1
        self.units, self.how = s.number, how
        c = s.client
        e = c.seal({"model": "demo", "prompt": "a b", "max_tokens": WORDS, "stream": True}, stream=True,
                   lock=c.lock(units=self.units, timeout=60))
        self.s = socket.create_connection((c.url.hostname, c.url.port), timeout=30 * SLOW)
        body = json.dumps(e.body).encode()
        (self.post2 if how.startswith("h2") else self.post1)(c, body)

    def post1(self, c, body):
        self.s.sendall(b"POST /v1/confidential/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (c.token.encode(), len(body)) + body)

    def post2(self, c, body):
        self.c = h2.connection.H2Connection(config=h2.config.H2Configuration())
        self.c.initiate_connection()
        self.c.send_headers(1, [(":method", "POST"), (":path", "/v1/confidential/completions"), (":scheme", "http"),
                                (":authority", "x"), ("authorization", f"Bearer {c.token}"),
                                ("content-type", "application/json")])
        self.c.send_data(1, body, end_stream=True)
        self.s.sendall(self.c.data_to_send())

    def first_event(self):
        seen = b""
        while b"data: " not in seen:
            got = self.s.recv(65536)
            assert got, seen
            seen += got

    def leave(self):
        if self.how.endswith("rst"):
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.how == "h2-cancel":  # the connection stays
            self.c.reset_stream(1, error_code=8)
            self.s.sendall(self.c.data_to_send())
        else:
            self.s.close()


# --- stages: each brings a request there, and gives it with what lets it go on ---

def before_dispatch(s, how):
    s.worker.kill()
    wait_for("the worker to be missed", lambda: s.json("status")["workers"] == 0)
    return Leaver(s, how), {"queued"}, lambda: s.start("worker").ready()


def before_first_byte(s, how):
    s.signal("node", signal.SIGSTOP)
    return Leaver(s, how), {"posted"}, lambda: s.signal("node", signal.SIGCONT)


def midstream(s, how):
    a = Leaver(s, how)
    a.first_event()
    return a, {"posted", "streaming"}, lambda: None


def noticed(s, a):
    """Leaves; how long the gateway took to let go of the request."""
    assert s.gateway.metrics()["sealway_gateway_inflight"] == 1
    began = time.monotonic()
    a.leave()
    wait_for("the gateway to notice", lambda: s.gateway.metrics()["sealway_gateway_inflight"] == 0)
    return time.monotonic() - began


def leave_once(s, stage, how):
    a, states, go = stage(s, how)
    try:
        wait_for(f"a request {states}", lambda: [r for r in s.requests() if r["state"] in states])
        took = noticed(s, a)
    finally:
        go()
    assert took < NOTICED_S * SLOW, f"noticed only after {took:.2f} s"
    began = time.monotonic()
    wait_for("the node to stop", lambda: s.running() == 0, 10)
    assert time.monotonic() - began < 5 * SLOW
    wait_for("the request to end", lambda: not s.requests(), 20)
    billed = s.bill(a.units)["billed"]
    assert billed == 0 if stage is before_dispatch else billed < WORDS / 2, billed
    assert stage is not midstream or billed > 0
    a.s.close()
    counted[stage.__name__, how] += 1
    slowest[stage.__name__, how] = max(slowest[stage.__name__, how], took)


@pytest.mark.parametrize("how", ["h1-close", "h1-rst", "h2-close", "h2-cancel"])
@pytest.mark.parametrize("stage", [midstream, before_first_byte, before_dispatch], ids=lambda s: s.__name__)
def test_client_gone(system, stage, how):
    for _ in range(ROUNDS):
        leave_once(system, stage, how)
