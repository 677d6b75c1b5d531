# SPDX-License-Identifier: Apache-2.0
"""Units for free, a second answer, a lost reservation: tried against the real processes, while they die."""
import json
import os
import resource
import signal
import threading
import time

import pytest

from cluster import SLOW, Up, wait_for
from scripted_node import admin
from sealclient import Client, Cut, Refused, b64, unb64


def stacks(up):
    """(spent, reserved) over all stacks."""
    all_of = admin(up, "stack.list")["stacks"]
    assert all(s["bought"] == s["free"] + s["reserved"] + s["spent"] for s in all_of)
    return sum(s["spent"] for s in all_of), sum(s["reserved"] for s in all_of)


def settled(up, seconds=40):
    """Units spent, once nothing is reserved any more and the ledger is sound."""
    wait_for("everything to be settled", lambda: stacks(up)[1] == 0, seconds)
    answer = admin(up, "ledger.check")
    assert answer["ok"] is True, answer
    return stacks(up)[0]


def prompt(client, words, stream=True, **kw):
    plain = {"model": client.model, "prompt": "a b", "max_tokens": words, "stream": stream}
    return client.seal(plain, stream=stream, **kw)


class Stream(threading.Thread):
    """A streamed request in the background; .events counts, .error is what ended it."""

    def __init__(self, client, words):
        super().__init__(daemon=True)
        self.client, self.envelope = client, prompt(client, words, units=1000)
        self.count, self.error, self.objects = 0, None, None
        self.start()
        wait_for("the first objects", lambda: self.count > 3 or self.error)

    def run(self):
        try:
            self.objects = self.client.post_stream("completions", self.envelope, self.event)
        except (Cut, Refused, AssertionError, OSError) as e:
            self.error = e

    def event(self, *_):
        self.count += 1


def outcomes(up, client, bodies):
    """Posts all at once, each on a connection of its own; the statuses and reasons."""
    got, start = [], threading.Barrier(len(bodies))

    def one(body):
        start.wait()
        try:
            client.json("POST", "/v1/confidential/completions", body)
            got.append(200)
        except Refused as r:
            got.append((r.status, r.error["reason"]))
    threads = [threading.Thread(target=one, args=(b,)) for b in bodies]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30 * SLOW)
    return got


def test_one_sealed_request_one_answer(up, client):
    """Ten connections at once, then again: the node answers one of them, and one is billed."""
    before = settled(up)
    e = prompt(client, 3, stream=False, units=100)
    got = outcomes(up, client, [e.body] * 10)
    assert sorted(got, key=str) == [(425, "already_answered")] * 9 + [200]
    with pytest.raises(Refused) as again:
        client.json("POST", "/v1/confidential/completions", dict(e.body, num_compute_units=50, other=1))
    assert again.value.error["reason"] == "already_answered"
    assert settled(up) == before + 5


def test_other_spellings_of_a_key(up, client):
    """The curve ignores the top bit and reduces: no spelling opens a request a second time."""
    before = settled(up)
    e = prompt(client, 3, stream=False)
    client.json("POST", "/v1/confidential/completions", e.body)
    for member in ("client_dh_public_key", "node_dh_public_key"):
        key = bytearray(unb64(e.body[member], 32))
        key[31] |= 0x80
        with pytest.raises(Refused) as r:
            client.json("POST", "/v1/confidential/completions", dict(e.body, **{member: b64(bytes(key))}))
        assert (r.value.status, r.value.error["param"]) == (400, member)
    for small in (bytes(32), b"\x01" + bytes(31), (2**255 - 19).to_bytes(32, "little")):
        with pytest.raises(Refused) as r:
            client.json("POST", "/v1/confidential/completions", dict(e.body, client_dh_public_key=b64(small)))
        assert r.value.status == 400
    assert settled(up) == before + 5


def test_a_reservation_of_nothing_buys_nothing(up, client):
    before = settled(up)
    short = client.lock(timeout=1)
    wait_for("the lock to expire", lambda: stacks(up)[1] == 0)
    with pytest.raises(Refused) as r:
        client.post("completions", prompt(client, 5, stream=False, lock=short, units=0))
    assert r.value.status == 400
    assert settled(up) == before


@pytest.mark.parametrize("who", ["worker", "gateway", "broker", "node"])
def test_a_death_in_the_middle_of_a_stream(who):
    """kill -9: what was served is billed where a receipt can be had, and nothing stays reserved."""
    with Up("--engine", "echo:rate=20", "--workers", "2") as up:
        client = Client(up.url, up.token, up.model)
        s = Stream(client, 60)
        busy = up.pids[who]
        for pid in busy:
            os.kill(pid, signal.SIGKILL)
        s.join(40 * SLOW)
        assert not s.is_alive()
        spent = settled(up, 120)
        if who == "broker":
            assert s.error is None and spent == 62
        elif who == "node":
            assert s.error is not None and spent == 0
        else:
            assert s.error is not None and 2 < spent <= 62


@pytest.mark.parametrize("stream", [False, True])
def test_workers_that_sleep(stream):
    """Stopped for longer than the broker waits, in the middle of a request: it is billed all the same."""
    with Up("--engine", "echo:rate=10", "--workers", "2") as up:
        client = Client(up.url, up.token, up.model)
        e = prompt(client, 80, stream=stream, units=1000)
        result = []

        def ask():
            try:
                post = client.post_stream if stream else client.post
                result.append(post("completions", e))
            except (Cut, Refused, AssertionError) as err:
                result.append(err)
        t = threading.Thread(target=ask, daemon=True)
        t.start()
        wait_for("the node to have it", lambda: any(q["state"] == "posted"
                                                    for q in admin(up, "request.list")["requests"]))
        time.sleep(0.5)
        for pid in up.pids["worker"]:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        for pid in up.pids["worker"]:
            os.kill(pid, signal.SIGCONT)
        t.join(60 * SLOW)
        assert result
        spent = settled(up, 120)
        assert 2 < spent <= 82, (spent, result)
        if not isinstance(result[0], Exception):
            assert spent == 82


def test_work_in_the_queue_of_a_sleeper():
    """It was given to another worker meanwhile: whoever wakes up leaves it alone, and the answer comes once."""
    with Up("--engine", "echo:rate=10", "--workers", "2") as up:
        client = Client(up.url, up.token, up.model)
        sleeper, results = up.pids["worker"][0], []
        bodies = [prompt(client, 60, stream=False, units=1000) for _ in range(2)]
        os.kill(sleeper, signal.SIGSTOP)

        def ask(e):
            try:
                results.append(client.post("completions", e)["choices"][0]["finish_reason"])
            except Refused as r:
                results.append(r)
        threads = [threading.Thread(target=ask, args=(e,), daemon=True) for e in bodies]
        for t in threads:
            t.start()
        wait_for("the second attempt", lambda: any(q["attempt"] == 2 and q["state"] == "posted"
                                                   for q in admin(up, "request.list")["requests"]))
        os.kill(sleeper, signal.SIGCONT)
        for t in threads:
            t.join(40 * SLOW)
        assert results == ["length", "length"], results
        assert settled(up) == 2 * 62


def test_a_client_that_leaves_pays_for_what_it_had():
    with Up("--engine", "echo:rate=20") as up:
        client = Client(up.url, up.token, up.model)
        for stream in (True, False):
            before = settled(up)
            e = prompt(client, 200, stream=stream, units=1000)
            c = client.connect()
            c.request("POST", "/v1/confidential/completions", json.dumps(e.body).encode(),
                      {"Authorization": f"Bearer {up.token}", "Content-Type": "application/json"})
            time.sleep(1.5)
            c.sock.close()
            spent = settled(up) - before
            assert 2 < spent < 202, spent


def test_a_full_disk():
    """Streams go on, nothing new is sold or promised, and once there is room again everything is booked."""
    with Up("--engine", "echo:rate=20") as up:
        client, broker = Client(up.url, up.token, up.model), up.pids["broker"][0]
        client.post("completions", prompt(client, 3, stream=False))
        wal = next(os.path.join(d, f) for d, _, files in os.walk(up.dir) for f in files if f.endswith("-wal"))
        s = Stream(client, 40)
        soft, hard = resource.prlimit(broker, resource.RLIMIT_FSIZE)
        resource.prlimit(broker, resource.RLIMIT_FSIZE, (os.path.getsize(wal), hard))
        with pytest.raises(Refused) as r:
            client.lock(timeout=1)
        assert r.value.status == 503
        s.join(40 * SLOW)
        assert s.error is None and len(s.objects) == 41
        with pytest.raises(Refused) as r:
            client.lock(timeout=1)
        assert r.value.status == 503
        resource.prlimit(broker, resource.RLIMIT_FSIZE, (soft, hard))
        wait_for("locks again", lambda: client.request("POST", "/v1/nodes/lock",
                                                       {"model": client.model, "timeout": 1})[0] == 200)
        assert settled(up) == 5 + 42
        assert os.path.exists(f"/proc/{broker}")  # it never had to start again
