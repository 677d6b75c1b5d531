# SPDX-License-Identifier: Apache-2.0
"""Deaths in the middle of plain requests: what the client sees, and that units are settled once and right."""
import json
import os
import signal
import threading

import pytest

from cluster import Up, wait_for
from scripted_node import ScriptedNode, admin
from sealclient import Client, Cut, H, b64
from test_plain import CHAT, body, content, settled, stream


@pytest.fixture
def system():
    with Up() as u:
        with ScriptedNode(u) as node:
            yield u, node


def kill(up, role):
    """The process dies; sealway up starts another."""
    old = json.load(open(up.ready_file))["pids"][role][0]
    os.kill(old, signal.SIGKILL)
    wait_for("the new one", lambda: json.load(open(up.ready_file))["pids"][role] not in ([], [old]))


def started(client):
    """A stream in a thread: (objects so far, what ended it, the thread)."""
    seen, end = [], []

    def run():
        try:
            end.append(client.stream_raw(CHAT, body(stream=True), lambda kind, data: seen.append(data)))
        except Cut as c:
            end.append(c)

    t = threading.Thread(target=run)
    t.start()
    wait_for("the first object", lambda: seen)
    return seen, end, t


def test_worker_dies_and_its_receipt_is_fetched(system):
    up, node = system
    client = Client(up.url, up.token, "scripted")
    before, gone = settled(system), threading.Event()

    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("good")))
        receipt = r.receipt_bytes(1, (3, 1))  # what a node writes when it loses its reader
        node.receipts[r.rid] = {"receipt": b64(receipt), "receipt_signature": node.sign(H(b"sealway-receipt-v1" + receipt))}
        gone.wait(30)
        return False

    node.script = script
    _, end, t = started(client)
    kill(up, "worker")
    gone.set()
    t.join(30)
    assert isinstance(end[0], Cut) and end[0].events[-1][0] == "error"
    assert settled(system) - before == 4
    node.script = type(node.requests[0]).honest
    wait_for("the new worker", lambda: client.request("POST", CHAT, body())[0] == 200)
    assert not node.errors, node.errors


def test_broker_dies_and_the_stream_goes_on(system):
    up, node = system
    client = Client(up.url, up.token, "scripted")
    before, go = settled(system), threading.Event()

    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("one")))
        assert go.wait(30)
        r.plain_text(r.plain_object(r.piece(" two", "stop")))
        r.plain_text(r.plain_object(r.usage_piece(), (2, 2)))
        r.done()

    node.script = script
    seen, end, t = started(client)
    kill(up, "broker")
    go.set()
    t.join(30)
    assert end[0][-1] == ("message", "[DONE]") and content([json.loads(d) for d in seen[:-1]]) == "one two"
    wait_for("the new broker", lambda: client.request("GET", "/health")[0] == 200)
    wait_for("the settlement", lambda: settled(system) - before == 4)
    assert admin(up, "ledger.check")["ok"] is True
    node.script = type(node.requests[0]).honest
    wait_for("new requests", lambda: client.request("POST", CHAT, body())[0] == 200)
    assert content(stream(client)) == "one two three"
