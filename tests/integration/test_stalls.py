# SPDX-License-Identifier: Apache-2.0
"""Pressure: clients that do not read, a gateway that falls behind, a worker that dies with half of the requests.

A client that takes nothing stalls its node's socket and nobody else; after the stall time it is cut and settled; memory
stays under a cap however many of them there are.
"""
import json
import os
import socket
import threading
import time

import h2.config
import h2.connection
import pytest

from cluster import SLOW, wait_for
from faults import Asking, Cluster
from sealclient import Client

LONG = bool(os.environ.get("SEALWAY_LONG")) and SLOW == 1
STUCK = 1000 if LONG else 100 if SLOW == 1 else 20
STALL_S = 3
HEARTBEAT_MS = 700  # all of this is busy, and nobody is to be taken for dead
WORDS = 6000
PROMPT = "a" * 4000 + " " + "b" * 4000  # answers of some 33 MB: far beyond what sockets and credit hold
HELD = WORDS // 10  # sockets and credit hold a few hundred KB on the way, whatever the host lets a socket grow to
CAP_MB = 256 * SLOW  # a sanitizer keeps what is freed
KINDS = ("gateway", "gateway2", "broker", "worker", "worker2", "node", "node2")


@pytest.fixture(scope="module")
def cluster():
    with Cluster(rate=10000, heartbeat_ms=HEARTBEAT_MS) as c:
        c.run("user", "fund", "alice", "--micro-usd", "5000000000", "--reason", "many answers")
        for name in ("gateway", "gateway2"):
            getattr(c, name).end()
            c.flags[name] += ["--stall-ms", str(STALL_S * 1000)]
            c.begin(name).ready()
        wait_for("both gateways", lambda: c.serves(0) and c.serves(1))
        yield c
        c.sound()


class Stuck:
    """A client that asks for much and reads nothing until it is told to; over HTTP/2 it opens no window."""

    def __init__(self, c, http2=False, gateway=0):
        c.number += 1
        self.units = c.number + 40000
        client = Client(f"http://127.0.0.1:{c.ports[gateway]}", c.token, timeout=60)
        self.e = client.seal({"model": "demo", "prompt": PROMPT, "max_tokens": WORDS, "stream": True}, stream=True,
                             lock=client.lock(units=self.units, timeout=60))
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.settimeout(60)
        self.s.connect((client.url.hostname, client.url.port))
        body = json.dumps(self.e.body).encode()
        (self.post2 if http2 else self.post1)(client, body)

    def post1(self, client, body):
        self.s.sendall(b"POST /v1/confidential/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
                       % (client.token.encode(), len(body)) + body)

    def post2(self, client, body):
        c = h2.connection.H2Connection(config=h2.config.H2Configuration())
        c.initiate_connection()
        c.send_headers(1, [(":method", "POST"), (":path", "/v1/confidential/completions"), (":scheme", "http"),
                           (":authority", "x"), ("authorization", f"Bearer {client.token}"),
                           ("content-type", "application/json")])
        c.send_data(1, body, end_stream=True)
        self.s.sendall(c.data_to_send())

    def read(self, most=1 << 40):
        """The answer as far as it comes, whatever its end; about most bytes of it."""
        out = bytearray()
        try:
            while len(out) < most and (got := self.s.recv(1 << 20)):
                out += got
        except ConnectionError:
            pass
        return bytes(out)


def made(c):
    """Chunks that the nodes have made so far."""
    return sum(c.gauge(n, "sealway_node_chunks_total") for n in ("node", "node2"))


def standstill(c):
    """Waits until the nodes make nothing any more; what they have made."""
    seen = [made(c)]

    def same():
        time.sleep(0.3)
        seen.append(made(c))
        return seen[-1] == seen[-2]
    wait_for("the nodes to be held", same, 10)
    return seen[-1]


def unchunk(data):
    """The body of a chunked HTTP/1 answer that has a clean end."""
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    out, at = bytearray(), 0
    while True:
        end = rest.index(b"\r\n", at)
        size = int(rest[at:end], 16)
        if size == 0:
            return bytes(out)
        out += rest[end + 2:end + 2 + size]
        at = end + 2 + size + 2


def peak_mb(part):
    status = open(f"/proc/{part.p.pid}/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def test_a_late_reader_loses_nothing(cluster):
    """The node is held while the client does not read, at first and after half of the answer; then all of it comes."""
    before = made(cluster)
    a = Stuck(cluster)
    wait_for("an answer", lambda: made(cluster) > before)
    held = standstill(cluster) - before
    assert held < HELD
    a.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # a quick reader, for which kernels let sockets grow
    got = a.read(16 << 20)
    ahead = standstill(cluster) - before - got.count(b"data: ")
    print(f"  held after {held:.0f} of {WORDS} chunks; after half of it, {ahead:.0f} ahead")
    assert ahead < HELD
    assert len(cluster.requests()) == 1
    body = unchunk(got + a.read())
    objects = [json.loads(x[6:]) for x in body.split(b"\n\n") if x.startswith(b"data: ")]
    assert len(a.e.open(objects, "completions")) >= WORDS
    assert a.e.completion == WORDS
    assert cluster.bill(a.units)["billed"] == WORDS + a.e.prompt


def test_clients_that_never_read_are_cut(cluster):
    c = cluster
    began, both = time.monotonic(), [Stuck(c), Stuck(c, http2=True, gateway=1)]
    wait_for("the streams", lambda: len(c.requests()) == 2)
    wait_for("the cuts", lambda: not c.requests(), STALL_S * 4)
    took = time.monotonic() - began
    assert STALL_S * 0.8 < took, took
    for a in both:
        row = c.bill(a.units)
        assert 2 < row["billed"] < HELD, row
    assert not both[0].read().endswith(b"0\r\n\r\n")
    for a in both:
        a.s.close()


def test_many_that_never_read(cluster):
    """Others are served as ever, and no process grows beyond its cap."""
    c, stuck = cluster, []
    for i in range(STUCK):
        stuck.append(Stuck(c, http2=i % 2 == 1, gateway=i // 2 % 2))
        if i % 20 == 19:
            assert c.serves(0) and c.serves(1)
    longest = 0
    for i in range(6):
        began = time.monotonic()
        a = Asking(c, 50, gateway=i % 2)
        assert a.end() == "complete"
        longest = max(longest, time.monotonic() - began)
    peaks = {name: peak_mb(getattr(c, name)) for name in KINDS}
    print(f"  {STUCK} clients that do not read: another waits {longest:.2f} s at most; peak MB {peaks}")
    assert longest < 3 * SLOW
    wait_for("all to be cut and settled", lambda: not c.requests(), 60)
    peaks = {name: peak_mb(getattr(c, name)) for name in KINDS}
    print(f"  after their cut: peak MB {peaks}")
    assert max(peaks.values()) < CAP_MB, peaks
    rows = {r["units"]: r["billed"] for r in c.rows()}
    billed = [rows[a.units] for a in stuck]
    assert len(billed) == STUCK and 0 < min(billed) and max(billed) < HELD, (min(billed), max(billed))
    for a in stuck:
        a.s.close()


def test_a_gateway_that_falls_behind(cluster):
    """Its streams stand; those of the other gateway, from the same workers and nodes, do not."""
    c = cluster
    known = c.json("status")["gateways"]
    behind = [Asking(c, 8000, gateway=1) for _ in range(6)]
    for a in behind:
        a.first_event()
    c.stop("gateway2")
    try:
        time.sleep(HEARTBEAT_MS / 1000)
        began, others = time.monotonic(), [Asking(c, 500) for _ in range(12)]
        assert {a.end() for a in others} == {"complete"}
        print(f"  12 streams beside a stopped gateway took {time.monotonic() - began:.2f} s")
        wait_for("the broker to miss it", lambda: c.json("status")["gateways"] < known)
        wait_for("its streams to be settled", lambda: not c.requests(), 20)
    finally:
        c.cont("gateway2")
    for a in behind:
        assert a.end() in ("cut", "complete", "lost")
        assert c.bill(a.units)["billed"] <= 8002
    wait_for("the gateway to serve again", lambda: c.serves(1))


def test_a_dead_worker_strands_nobody(cluster):
    """Requests that come right behind a worker's death all have their answers, before anybody has missed it."""
    c = cluster
    c.worker2.kill()
    answers = []
    starters = [threading.Thread(target=lambda i=i: answers.extend(Asking(c, 20, gateway=i % 2) for _ in range(3)))
                for i in range(8)]
    for t in starters:
        t.start()
    for t in starters:
        t.join()
    outcomes = [a.end() for a in answers]
    c.begin("worker2").ready()
    assert len(outcomes) == 24 and set(outcomes) == {"complete"}, outcomes
