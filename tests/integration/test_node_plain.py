# SPDX-License-Identifier: Apache-2.0
"""Plain requests to a real sealway-node, as a worker sends them: what is signed, what is billed, what is refused."""
import http.client
import json
import os
import re
import struct
import tempfile
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster import SEALWAY, SLOW, rss_kb, run_quiet, wait_for
from test_engine import Engine, usage
from parts import Part, free_port
from sealclient import H, RAW, b64, check_signature, unb64

STACK = 77


class Node:
    """sealway-node by itself: not registered anywhere, serving the proxy whose key it was given."""

    def __init__(self, dir, *flags):
        self.dir = dir
        run_quiet(SEALWAY, "keys", "new", "--dir", dir)
        run_quiet(SEALWAY, "keys", "node", "--dir", dir)
        self.auth = Ed25519PrivateKey.from_private_bytes(self.key("proxy-auth.key"))
        self.sign_key = self.key("node.pub")
        self.part = Part(self, "node", ["--node-id", "1", "--sign-key", f"{dir}/node.key", "--proxy-auth-keys",
                                        f"{dir}/proxy-auth.pub", "--listen", "127.0.0.1:0", "--engine", "echo",
                                        *flags], "node")
        self.address = self.part.ready()["listen"]

    def key(self, name):
        return unb64(open(os.path.join(self.dir, name)).read().strip(), 32)

    def authorise(self, rid, body, stack=STACK, units=1 << 21, for_node=1, key=None, until=300):
        raw = struct.pack(">B16sQQQ32sQ", 1, rid, for_node, stack, units, H(body), int(time.time()) + until)
        key = key or self.auth
        signed = b"\0" + key.sign(H(b"sealway-auth-v1" + raw)) + key.public_key().public_bytes(*RAW)
        return {"X-Request-Id": rid.hex(), "X-Sealway-Auth": b64(raw) + "." + b64(signed)}

    def call(self, method, path, body=b"", headers=None, timeout=20):
        c = http.client.HTTPConnection(self.address, timeout=timeout)
        c.request(method, path, body, headers or {})
        return c.getresponse()

    def ask(self, path, request, rid=None, **auth):
        """(rid, body, response) of one plain request."""
        body = request if isinstance(request, bytes) else json.dumps(request, separators=(",", ":")).encode()
        rid = rid or os.urandom(16)
        extra = auth.pop("headers", {})
        h = {"Content-Type": "application/json", "X-Stack-Small-Id": str(STACK), **self.authorise(rid, body, **auth),
             **extra}
        return rid, body, self.call("POST", path, body, h)


@pytest.fixture(scope="module")
def node():
    with tempfile.TemporaryDirectory(prefix="sw") as dir:
        n = Node(dir)
        yield n
        n.part.end()


@pytest.fixture(scope="module")
def slow():
    with tempfile.TemporaryDirectory(prefix="sw") as dir:
        n = Node(dir, "--engine", "echo:rate=20")
        yield n
        n.part.end()


ADDED = re.compile(r',"response_hash":"([^"]*)","signature":"([^"]*)"'
                   r'(?:,"receipt":"([^"]*)","receipt_signature":"([^"]*)")?\}$')


class Answer:
    """Checks the objects of an answer in their order and reads its receipt."""

    def __init__(self, node, rid, body, texts, kind, outcome=0):
        hashes, self.objects = b"", []
        for i, text in enumerate(texts):
            m = ADDED.search(text)
            assert m, text
            bare = text[:m.start()] + "}"
            digest = unb64(m[1], 32)
            assert digest == H(bare.encode())
            check_signature(m[2], digest, node.sign_key)
            assert bool(m[3]) == (i == len(texts) - 1), "a receipt on the last object, and there only"
            hashes += digest
            self.objects.append(json.loads(bare))
        self.receipt, self.signature = unb64(m[3], 183), m[4]
        check_receipt(node, self.receipt, self.signature)
        r = struct.unpack(">BBB16sQ32s32s32s32sIQQQ", self.receipt)
        assert r[:5] == (1, outcome, kind, rid, STACK)
        assert r[5] == bytes(32), "no X25519 key: it says plain"
        assert r[6:9] == (H(body), H(b"demo"), H(hashes)) and r[9] == len(texts)
        self.used = r[10], r[11]
        assert abs(r[12] - time.time()) < 60


def check_receipt(node, raw, signature):
    check_signature(signature, H(b"sealway-receipt-v1" + raw), node.sign_key)


def whole(node, path, request, kind):
    rid, body, r = node.ask(path, request)
    assert r.status == 200 and r.getheader("content-type") == "application/json"
    return Answer(node, rid, body, [r.read().decode()], kind)


def events(r):
    """The data of each event, the last of which is [DONE]."""
    assert r.status == 200 and r.getheader("content-type") == "text/event-stream"
    text = r.read().decode()
    assert text.endswith("\n\n")
    lines = text[:-2].split("\n\n")
    assert all(e.startswith("data: ") and "\n" not in e for e in lines)
    assert lines[-1] == "data: [DONE]"
    return [e[len("data: "):] for e in lines[:-1]]


CHAT = {"model": "demo", "messages": [{"role": "user", "content": "grüße a b"}]}


def test_completion(node):
    a = whole(node, "/v1/completions", {"model": "demo", "prompt": "one two", "max_tokens": 3}, 1)
    o = a.objects[0]
    assert o["choices"][0]["text"] == "one two one" and o["choices"][0]["finish_reason"] == "length"
    assert o["usage"]["prompt_tokens"] == 2 and o["usage"]["completion_tokens"] == 3 and a.used == (2, 3)


def test_chat(node):
    a = whole(node, "/v1/chat/completions", {**CHAT, "max_completion_tokens": 2}, 2)
    assert a.objects[0]["choices"][0]["message"]["content"] == "grüße a" and a.used == (3, 2)


def test_embeddings(node):
    a = whole(node, "/v1/embeddings", {"model": "demo", "input": ["some text", "more"]}, 3)
    assert len(a.objects[0]["data"]) == 2 and a.used == (3, 0)
    b = whole(node, "/v1/embeddings", {"model": "demo", "input": ["some text", "more"], "encoding_format": "base64"}, 3)
    for x, y in zip(a.objects[0]["data"], b.objects[0]["data"], strict=True):
        assert struct.unpack("<64f", unb64(y["embedding"], 256)) == pytest.approx(x["embedding"])


def test_images(node):
    a = whole(node, "/v1/images/generations", {"model": "demo", "prompt": "a cat", "n": 2, "size": "64x32"}, 4)
    assert len(a.objects[0]["data"]) == 2 and a.used == (0, 2 * 64 * 32)


def test_stream_with_usage(node):
    request = {**CHAT, "max_tokens": 4, "stream": True, "stream_options": {"include_usage": True}}
    rid, body, r = node.ask("/v1/chat/completions", request)
    a = Answer(node, rid, body, events(r), 2)
    assert "".join(o["choices"][0]["delta"].get("content") or "" for o in a.objects[:-1]) == "grüße a b grüße"
    assert a.objects[-2]["choices"][0]["finish_reason"] == "length" and a.objects[-2]["usage"] is None
    assert a.objects[-1]["choices"] == [] and a.objects[-1]["usage"]["completion_tokens"] == 4
    assert a.used == (3, 4) and len({o["id"] for o in a.objects}) == 1


def test_stream_without_usage(node):
    rid, body, r = node.ask("/v1/completions", {"model": "demo", "prompt": "x y", "max_tokens": 2, "stream": True})
    a = Answer(node, rid, body, events(r), 1)
    assert "".join(o["choices"][0]["text"] for o in a.objects) == "x y"
    assert a.objects[-1]["choices"][0]["finish_reason"] == "length" and a.used == (2, 2)


def test_ids_cannot_be_guessed(node):
    one, two = (whole(node, "/v1/completions", {"model": "demo", "prompt": "x", "max_tokens": 1}, 1) for _ in "12")
    assert one.objects[0]["id"] != two.objects[0]["id"] and len(one.objects[0]["id"]) >= 32


def refused(node, status, path="/v1/completions", request=None, reason=None, **auth):
    request = {"model": "demo", "prompt": "one two", "max_tokens": 1} if request is None else request
    rid, _, r = node.ask(path, request, **auth)
    error = json.loads(r.read())["error"]
    assert r.status == status and error["reason"] == reason, error
    return rid


def test_a_request_id_is_answered_once(node):
    rid, _, r = node.ask("/v1/completions", {"model": "demo", "prompt": "x", "max_tokens": 1})
    assert r.status == 200 and r.read()
    refused(node, 425, reason="already_answered", rid=rid)
    refused(node, 425, reason="already_answered", rid=rid, path="/v1/chat/completions", request=CHAT)


@pytest.mark.parametrize("request_", [
    b"", b"[]", b"{", b'{"model":"demo"}', b'{"prompt":"x"}', b'{"model":1,"prompt":"x"}',
    b'{"model":"other","prompt":"x"}', b'{"model":"demo","prompt":"x","stream":"yes"}',
    b'{"model":"demo","prompt":"x","stream":true,"stream_options":3}', b'{"model":"demo","prompt":"x","n":2}',
    b'{"model":"demo","prompt":"x","max_tokens":-1}', b'{"model":"demo","prompt":"x","max_tokens":1e99}',
    b'{"model":"demo","model":"demo","prompt":"x"}', b'{"model":"demo","prompt":{"a":1}}', b'\xff',
    b'{"model":"demo","prompt":["x","y"]}',
])
def test_bad_bodies(node, request_):
    refused(node, 400, request=request_)


def test_bodies_that_would_fill_the_memory(node):
    """Empty objects take a hundred times their text once they are parsed, and the node has one thread for all."""
    before = rss_kb(node.part.p.pid)
    refused(node, 400, request=b'{"model":"demo","prompt":"x","y":[{}' + b",{}" * 1_000_000 + b"]}")
    assert rss_kb(node.part.p.pid) - before < 60000 * SLOW


def test_endpoints_that_do_not_stream(node):
    refused(node, 400, "/v1/embeddings", {"model": "demo", "input": "x", "stream": True})


def test_within_the_reservation(node):
    refused(node, 400, request={"model": "demo", "prompt": "one two three", "max_tokens": 1}, units=2)
    rid, body, r = node.ask("/v1/completions", {"model": "demo", "prompt": "one two", "max_tokens": 50}, units=5)
    assert Answer(node, rid, body, [r.read().decode()], 1).used == (2, 3)
    refused(node, 400, "/v1/images/generations", {"model": "demo", "prompt": "x", "size": "64x64"}, units=64 * 64 - 1)


def test_who_may_ask(node):
    stranger = Ed25519PrivateKey.generate()
    refused(node, 401, key=stranger)
    refused(node, 401, for_node=2)
    refused(node, 401, until=-1)
    refused(node, 401, headers={"X-Sealway-Auth": ""})
    refused(node, 401, headers={"X-Request-Id": "0" * 32})
    refused(node, 400, headers={"X-Stack-Small-Id": str(STACK + 1)})
    other = node.authorise(os.urandom(16), b"another body")
    refused(node, 401, headers=other)


def fetch(node, rid):
    r = node.call("GET", "/v1/receipts/" + rid.hex(), headers=node.authorise(rid, b""))
    return r.status, json.loads(r.read())


def test_one_stack_is_named(node):
    body, rid = b'{"model":"demo","prompt":"x","max_tokens":1}', os.urandom(16)
    c = http.client.HTTPConnection(node.address, timeout=20)
    c.putrequest("POST", "/v1/completions")
    for name, value in node.authorise(rid, body).items():
        c.putheader(name, value)
    for name, value in ("Content-Length", len(body)), ("X-Stack-Small-Id", STACK), ("X-Stack-Small-Id", STACK + 1):
        c.putheader(name, str(value))
    c.endheaders(body)
    assert c.getresponse().status == 400


def test_a_running_request_id_is_not_taken_again(slow):
    request = {"model": "demo", "prompt": "a b", "max_tokens": 1000, "stream": True}
    rid, _, r = slow.ask("/v1/completions", request)
    assert r.readline()
    refused(slow, 425, reason="already_answered", rid=rid)
    assert r.readline() == b"\n" and r.readline().startswith(b"data: "), "the first goes on"
    r.close()


@pytest.mark.parametrize("name", ["response_hash", "signature", "receipt", "receipt_signature"])
def test_an_engine_cannot_send_what_the_node_signs_with(name):
    engine = Engine()
    engine.script = lambda h, _: h.whole({
        name: "the engine's", "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}], "usage": usage(1, 1)})
    with tempfile.TemporaryDirectory(prefix="sw") as dir:
        n = Node(dir, "--engine", engine.url)
        try:
            a = whole(n, "/v1/completions", {"model": "demo", "prompt": "x", "max_tokens": 1}, 1)
            assert name not in a.objects[0] and a.objects[0]["choices"][0]["text"] == "hi"
        finally:
            n.part.end()
            engine.shutdown()
            engine.server_close()


def test_a_node_without_its_engine_is_not_well():
    """From the first connection that fails until one stands; nobody has to ask for an answer meanwhile."""
    def health():
        r = n.call("GET", "/health")
        return r.status, json.loads(r.read())

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sw") as dir:
        n = Node(dir, "--engine", f"http://127.0.0.1:{port}")
        assert health() == (200, {"message": "ok"})
        refused(n, 503)
        status, body = health()
        assert status == 503 and body["error"]["code"] == "SERVICE_UNAVAILABLE"
        assert n.part.metrics()["sealway_node_engine_reachable"] == 0
        engine = Engine(port)
        wait_for("the node to be well", lambda: health()[0] == 200)
        assert n.part.metrics()["sealway_node_engine_reachable"] == 1
        assert n.part.log().count("engine_away") == n.part.log().count("engine_back") == 1
        n.part.end()
        engine.shutdown()


def test_a_node_whose_engine_is_ill_is_not_well():
    """One that loads its model, say; the node sees by itself when it is done."""
    def health():
        r = n.call("GET", "/health")
        r.read()
        return r.status

    engine = Engine()
    engine.script = lambda h, _: h.whole({"error": {"code": 503, "message": "Loading model"}}, 503)
    with tempfile.TemporaryDirectory(prefix="sw") as dir:
        n = Node(dir, "--engine", engine.url)
        refused(n, 503)
        wait_for("the node to have tried it", lambda: health() == 503)
        engine.script = lambda h, _: h.whole({"choices": [{"text": "hi"}], "usage": usage(1, 1)})
        wait_for("the node to be well", lambda: health() == 200)
        log = n.part.log()
        assert log.count("engine_ill") == log.count("engine_back") == 1
        n.part.end()
        engine.shutdown()


def test_receipt_is_kept(node):
    rid, body, r = node.ask("/v1/completions", {"model": "demo", "prompt": "x", "max_tokens": 1})
    a = Answer(node, rid, body, [r.read().decode()], 1)
    assert fetch(node, rid) == (200, {"receipt": b64(a.receipt), "receipt_signature": a.signature})
    assert fetch(node, os.urandom(16))[0] == 404


def test_stop_ends_with_a_receipt(slow):
    request = {"model": "demo", "prompt": "a b", "max_tokens": 1000, "stream": True,
               "stream_options": {"include_usage": True}}
    rid, body, r = slow.ask("/v1/completions", request)
    first = r.readline()
    stop = slow.call("POST", "/v1/stop-streamer", headers=slow.authorise(rid, b""))
    assert stop.status == 200 and stop.read()
    text = first.decode() + r.read().decode()
    texts = [e[len("data: "):] for e in text[:-2].split("\n\n")]
    assert texts.pop() == "[DONE]"
    a = Answer(slow, rid, body, texts, 1, outcome=1)
    assert a.used[0] == 2 and 0 < a.used[1] < 1000 and a.objects[-2]["choices"][0]["finish_reason"] == "stop"


def test_lost_worker_leaves_a_receipt(slow):
    request = {"model": "demo", "prompt": "a b", "max_tokens": 1000, "stream": True}
    rid, body, r = slow.ask("/v1/completions", request)
    assert fetch(slow, rid)[0] in (503, 200)
    r.readline()
    r.close()
    status, kept = wait_for("the receipt", lambda: (lambda f: f[0] == 200 and f)(fetch(slow, rid)))
    raw = unb64(kept["receipt"], 183)
    check_receipt(slow, raw, kept["receipt_signature"])
    assert raw[1] == 1 and 0 < struct.unpack(">Q", raw[167:175])[0] < 1000
