# SPDX-License-Identifier: Apache-2.0
"""Waiting has an end: no worker, a node that says nothing, one that falls silent; and streams are kept alive."""
import json
import os
import signal
import threading
import time

import pytest

from cluster import wait_for
from parts import Parts
from sealclient import Client, Cut, Refused, text_of


@pytest.fixture
def parts():
    """Four processes with short deadlines; the node makes ten words a second."""
    with Parts("echo:rate=10") as p:
        p.start("broker")
        p.start("worker", "--first-byte-s", "1", "--gap-s", "2")
        p.start("gateway", "--keepalive-ms", "20", "--dispatch-ms", "700")
        p.start("node")
        p.operate()
        p.ready()
        wait_for("a first answer", lambda: p.ask().returncode == 0, 10)
        yield p


@pytest.fixture
def client(parts):
    return Client(parts.url, parts.token, "demo")


def seal(client, words=4, stream=True):
    return client.seal({"model": "demo", "prompt": "a b", "max_tokens": words, "stream": stream}, stream=stream)


def asleep(parts):
    os.kill(parts.node.p.pid, signal.SIGSTOP)


def awake(parts):
    os.kill(parts.node.p.pid, signal.SIGCONT)


def settled(parts):
    stacks = json.loads(parts.run("stack", "list", "--json"))["stacks"]
    return all(s["reserved"] == 0 for s in stacks)


@pytest.mark.parametrize("stream", [True, False])
def test_a_node_that_says_nothing_is_504(parts, client, stream):
    e = seal(client, stream=stream)
    asleep(parts)
    try:
        with pytest.raises(Refused) as r:
            (client.post_stream if stream else client.post)("completions", e)
    finally:
        awake(parts)
    assert r.value.status == 504
    assert (r.value.error["code"], r.value.error["type"]) == ("TIMEOUT", "server_error")
    wait_for("everything to be settled", lambda: settled(parts), 30)


def test_a_node_that_falls_silent_is_cut(parts, client):
    e, seen = seal(client, 100), threading.Event()
    timer = threading.Thread(target=lambda: (seen.wait(10), asleep(parts)))
    timer.start()
    try:
        with pytest.raises(Cut) as c:
            client.post_stream("completions", e, lambda *_: seen.set())
    finally:
        timer.join()
        awake(parts)
    kind, data = c.value.events[-1]
    assert kind == "error" and json.loads(data)["error"]["code"] in ("TIMEOUT", "INTERNAL_ERROR")
    wait_for("everything to be settled", lambda: settled(parts), 30)


def test_streams_are_kept_alive(parts, client):
    e = seal(client, 4)  # with silences of a tenth of a second
    c = client.connect()
    c.request("POST", "/v1/confidential/completions", json.dumps(e.body).encode(),
              {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"})
    body = c.getresponse().read()
    c.close()
    assert body.count(b": keep-alive\n\n") >= 3
    objects = [json.loads(x[6:]) for x in body.split(b"\n\n") if x.startswith(b"data: ")]
    assert text_of(e.open(objects, "completions")) == "a b a b"


def test_a_stream_without_end_is_cut():
    """However much it would still say: the node stops, and what it made is billed by its receipt."""
    with Parts("echo:rate=50") as p:
        p.start("broker")
        p.start("worker", "--stream-s", "2")
        p.start("gateway")
        p.start("node")
        p.operate()
        p.ready()
        wait_for("a first answer", lambda: p.ask().returncode == 0, 10)
        c, began = Client(p.url, p.token, "demo"), time.time()
        with pytest.raises(Cut) as cut:
            c.post_stream("completions", seal(c, 4000))
        assert 1.5 < time.time() - began < 10
        kind, data = cut.value.events[-1]
        assert kind == "error" and json.loads(data)["error"]["code"] == "TIMEOUT"
        wait_for("everything to be settled", lambda: settled(p), 30)
        wait_for("the node to stop", lambda: p.node.log().count("event=answer_over") == 2)
        made = len(cut.value.events) - 1
        spent = sum(x["spent"] for x in json.loads(p.run("stack", "list", "--json"))["stacks"])
        assert 60 <= made <= spent <= made + 60, (made, spent)


def test_no_worker_is_503_and_units_return(parts, client):
    e = seal(client)
    parts.worker.end()
    began = time.time()
    with pytest.raises(Refused) as r:
        client.post_stream("completions", e)
    assert r.value.status == 503 and int(r.value.headers["retry-after"]) >= 1
    assert time.time() - began < 10
    wait_for("the units to return", lambda: settled(parts), 10)
