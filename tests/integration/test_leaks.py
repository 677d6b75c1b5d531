# SPDX-License-Identifier: Apache-2.0
"""Memory and descriptors of all four processes over thousands of requests, good, bad and left in the middle.

What may grow: a node keeps receipts for 15 minutes (under 500 bytes each) and the hash of every request for as
long as its key is accepted (100 bytes); a broker keeps what it has to recognise again.  So the bound is 1 KiB per
request and 4 MiB for the allocator.  One request leaks at least its body, which is larger than that here.
"""
import json
import os
import socket
import threading

from cluster import Up, rss_kb, wait_for
from parts import get, parse_metrics
from sealclient import Client, Refused, text_of

SANITIZED = bool(os.environ.get("SEALWAY_SANITIZED"))
REQUESTS = 10000 if os.environ.get("SEALWAY_LONG") else 400 if SANITIZED else 2000
WARM_UP = 200 if SANITIZED else 600
CLIENTS = 4
PER_REQUEST, SLACK = 1024, 4 << 20
PADDING = "lorem " * 300  # a body of some 3 KiB, sealed and in base64


def rss(pid):
    return rss_kb(pid) * 1024


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Load:
    """Mixed requests by several clients; each keeps a connection of its own, and drops it now and then."""

    def __init__(self, up):
        self.up, self.bad = up, []

    def run(self, n):
        threads = [threading.Thread(target=self.client, args=(range(i, n, CLIENTS),)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not self.bad, "\n".join(self.bad[:10])

    def client(self, numbers):
        c = Client(self.up.url, self.up.token, timeout=60)
        for i in numbers:
            try:
                self.KINDS[i // CLIENTS % len(self.KINDS)](self, c)
            except Exception as e:  # noqa: BLE001 - shown by run()
                self.bad.append(f"{i}: {e!r}")

    def whole(self, c):
        e = c.seal({"model": c.model, "prompt": "a b " + PADDING, "max_tokens": 2})
        assert text_of([c.post("completions", e)]) == "a b"

    def streamed(self, c):
        e = c.seal({"model": c.model, "prompt": "a b " + PADDING, "max_tokens": 8, "stream": True}, stream=True)
        assert len(c.post_stream("completions", e)) == 9

    def chat(self, c):
        e = c.seal({"model": c.model, "max_tokens": 2, "messages": [{"role": "user", "content": "a b " + PADDING}]})
        assert text_of([c.post("chat/completions", e)]) == "a b"

    def embedding(self, c):
        assert c.post("embeddings", c.seal({"model": c.model, "input": PADDING}))["data"]

    def image(self, c):
        # a lock like all others: with a smaller one, another request of this user might get it
        e = c.seal({"model": c.model, "prompt": PADDING, "size": "8x8", "n": 1}, units=64, lock=c.lock())
        assert c.post("images/generations", e)["data"]

    def gone(self, c):
        """Leaves in the middle of a long answer, or before it begins."""
        e = c.seal({"model": c.model, "prompt": "a b " + PADDING, "max_tokens": 3000, "stream": True}, stream=True)
        con = c.connect()
        con.request("POST", "/v1/confidential/completions", json.dumps(e.body).encode(),
                    {"Authorization": f"Bearer {c.token}", "Content-Type": "application/json"})
        if e.salt[0] % 2:
            r = con.getresponse()
            assert r.status == 200 and r.read(1000)
            r.close()
        con.close()

    def refused(self, c):
        lock = c.lock(timeout=1)  # never used, and a node has room for 64
        for body, auth, status in (
                (c.seal({"model": c.model, "prompt": PADDING}, lock=lock, nonce="!").body, True, 400),
                (c.seal({"model": "another", "prompt": PADDING}, lock=lock).body, True, 400),
                (c.seal({"model": c.model, "prompt": PADDING}, lock=lock).body, False, 401),
                (c.seal({"model": c.model, "prompt": PADDING}, lock=lock, model="none").body, True, 404)):
            got = c.request("POST", "/v1/confidential/completions", body, auth=auth)[0]
            assert got == status, (got, status)

    def again(self, c):
        e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": 1})
        c.post("completions", e)
        try:
            c.post("completions", e)
            raise AssertionError("answered twice")
        except Refused as x:
            assert x.status == 425

    KINDS = [whole, streamed, chat, embedding, image, whole, streamed, gone, refused, again]


def settled(up):
    """Nothing in flight anywhere."""
    quiet = {"gateway": ("inflight", "streams_open"), "broker": ("inflight", "queued", "store_backlog"),
             "worker": ("tasks", "queue_bytes", "answer_bytes", "settlements_open")}
    for role, names in quiet.items():
        info = json.load(open(os.path.join(up.dir, "run", f"{role}-1.ready")))
        m = parse_metrics(get(info["admin"], "/metrics")[2])
        if any(m[f"sealway_{role}_{n}"] for n in names):
            return False
    return True


def test_memory_and_descriptors(capsys):
    with Up() as up:
        pids = {role: group[0] for role, group in up.pids.items()}
        load = Load(up)
        load.run(WARM_UP)
        wait_for("the warm-up to settle", lambda: settled(up), 40)
        before = {role: (rss(pid), fds(pid)) for role, pid in pids.items()}
        load.run(REQUESTS)
        wait_for("everything to settle", lambda: settled(up), 60)
        # connections between worker, node and clients that are kept for reuse are not more than clients at a time
        pool = {"gateway": 0, "broker": 0, "worker": CLIENTS, "node": CLIENTS}
        wait_for("the descriptors", lambda: all(fds(pid) <= before[role][1] + pool[role]
                                                for role, pid in pids.items()), 20)
        after = {role: (rss(pid), fds(pid)) for role, pid in pids.items()}
        with capsys.disabled():
            print(f"\n  over {REQUESTS} requests:", end="")
            for role, pid in pids.items():
                print(f" {role} {before[role][0] >> 10} -> {after[role][0] >> 10} KiB,"
                      f" {before[role][1]} -> {after[role][1]} fds;", end="")
        bound = SLACK + PER_REQUEST * REQUESTS
        grown = {role: after[role][0] - before[role][0] for role in pids}
        if not SANITIZED:  # there memory is kept back on purpose; LeakSanitizer speaks at the end, and stop() listens
            assert all(g < bound for g in grown.values()), (grown, bound)
        assert {role: group[0] for role, group in up.pids.items()} == pids  # none was restarted
        assert "was killed" not in open(up.log_path).read() and "ended with" not in open(up.log_path).read()
        r = up.cli("status", "--dir", up.dir)
        assert r.returncode == 0 and b"ledger ok=true" in r.stdout


def test_connections_that_come_and_go():
    """Idle, half-sent and silent connections leave no descriptor."""
    with Up() as up:
        pid = up.pids["gateway"][0]
        c = Client(up.url, up.token)
        c.json("GET", "/v1/models")
        wait_for("the start's connections to go", lambda: settled(up))
        before = fds(pid)
        for data in (b"", b"GET", b"POST /v1/nodes/lock HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"):
            open_ones = []
            for _ in range(50):
                s = socket.create_connection((c.url.hostname, c.url.port))
                s.sendall(data)
                open_ones.append(s)
            wait_for("all to be accepted", lambda: fds(pid) >= before + 50)
            for i, s in enumerate(open_ones):
                if i % 2:  # half of them by a reset
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
            wait_for(f"all to go after {data[:20]}", lambda: fds(pid) <= before, 10)
        assert c.json("GET", "/v1/models")["data"]
