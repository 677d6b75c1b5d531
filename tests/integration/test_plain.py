# SPDX-License-Identifier: Apache-2.0
"""The plain endpoints by real processes and a scripted node: what passes, what does not, what is billed."""
import json
import os
import socket
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster import Up, wait_for
from scripted_node import Request, ScriptedNode, admin
from sealclient import RAW, Client, Cut, H, Refused, b64, check_signature, unb64

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def system():
    with Up() as u:
        with ScriptedNode(u, 77) as node:
            yield u, node


@pytest.fixture
def node(system):
    n = system[1]
    n.script, n.on_stop = Request.honest, None
    n.receipts.clear()
    n.stops.clear()
    n.requests.clear()
    n.errors.clear()
    settled(system)
    for s in stacks(system):
        if s["state"] == "locked":  # by a 423 of the test before
            admin(system[0], "stack.unlock", stack=s["stack"])
    ready(system, n)
    yield n
    assert not n.errors, n.errors


def ready(system, n):
    """A breaker that the test before may have opened is closed again."""
    assert n.register() == 200
    wait_for("the node to be found healthy", lambda: all(x["health"]["breaker"] == "closed"
                                                         for x in admin(system[0], "node.list")["nodes"]))


@pytest.fixture
def client(system):
    return Client(system[0].url, system[0].token, "scripted")


def stacks(system, model="scripted"):
    return [s for s in admin(system[0], "stack.list")["stacks"] if s["model"] == model]


def settled(system, model="scripted"):
    """Spent units once nothing is reserved any more; what was bought is spent, free or reserved all the time."""
    def quiet():
        found = stacks(system, model)
        assert all(s["bought"] == s["spent"] + s["free"] + s["reserved"] for s in found)
        return all(s["reserved"] == 0 for s in found)

    wait_for("everything to be settled", quiet)
    return sum(s["spent"] for s in stacks(system, model))


def body(text="one two three", **more):
    return {"model": "scripted", "messages": [{"role": "user", "content": text}], **more}


def stream(client, path=CHAT, **kw):
    """The objects of a stream, which ends in [DONE]."""
    events = client.stream_raw(path, kw.pop("body", None) or body(stream=True, **kw))
    assert [k for k, _ in events] == ["message"] * len(events)
    assert events[-1][1] == "[DONE]" and len(events) > 1
    return [json.loads(d) for _, d in events[:-1]]


def content(objects):
    return "".join(c["delta"].get("content") or "" for o in objects for c in o["choices"])


def verify(text, node):
    """An object as a client gets it still proves itself: the two members taken out again, as text."""
    at = text.index(',"response_hash":')
    o = json.loads(text)
    assert "receipt" not in o and "receipt_signature" not in o
    bare = (text[:at] + "}").encode()
    assert unb64(o["response_hash"], 32) == H(bare)
    check_signature(o["signature"], H(bare), node.public)


# --- what passes ---

def test_chat_whole(system, node, client):
    before = settled(system)
    status, headers, data = client.request("POST", CHAT, body())
    assert status == 200 and headers["content-type"] == "application/json"
    verify(data.decode(), node)
    o = json.loads(data)
    assert o["choices"][0]["message"]["content"] == "one two three"
    assert o["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert settled(system) - before == 6  # what usage says, and nothing else


def test_chat_streamed(system, node, client):
    before = settled(system)
    events = client.stream_raw(CHAT, body(stream=True))
    assert events[-1] == ("message", "[DONE]")
    objects = [json.loads(d) for _, d in events[:-1]]
    for _, d in events[:-1]:
        verify(d, node)
    assert content(objects) == "one two three"
    assert all(o["choices"] for o in objects)  # the usage object is not for who did not ask
    assert settled(system) - before == 6


@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": True, "x": [1]}])
def test_usage_for_who_asks(system, node, client, options):
    objects = stream(client, stream_options=options)
    assert objects[-1]["choices"] == [] and objects[-1]["usage"]["total_tokens"] == 6
    assert node.requests[-1].plain["stream_options"] == options


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None, "y": 1}])
def test_usage_withheld_however_it_was_not_asked_for(system, node, client, options):
    objects = stream(client, stream_options=options)
    assert all(o["choices"] for o in objects)
    assert node.requests[-1].plain["stream_options"] == (options or {}) | {"include_usage": True}


@pytest.mark.parametrize("path,ask,units", [
    ("completions", {"prompt": "one two", "max_tokens": 5}, 4),
    ("embeddings", {"input": "one two"}, 2),
    ("images/generations", {"prompt": "a cat", "n": 2, "size": "64x32"}, 2 * 64 * 32),
])
def test_the_other_endpoints(system, node, client, path, ask, units):
    before = settled(system)
    o = client.json("POST", "/v1/" + path, {"model": "scripted", **ask})
    assert o["response_hash"] and "receipt" not in o
    assert settled(system) - before == units
    assert node.requests[-1].path == "/v1/" + path


def test_completions_streamed(system, node, client):
    objects = stream(client, "/v1/completions", body={"model": "scripted", "prompt": "a b", "stream": True})
    assert "".join(c["text"] for o in objects for c in o["choices"]) == "a b"


def test_the_body_is_sent_compactly(system, node, client):
    raw = ('{ "messages" : [ {"role":"user", "content":"\\u00e4 \\ud83d\\ude00 \\/ \\u000a"} ],\n\t"model":"scripted",'
           '"temperature": 1.50, "stream" :false, "x":{ }, "y":[ 1 , 2e3 ] }').encode()
    status, _, _ = client.request("POST", CHAT, raw)
    assert status == 200
    assert node.requests[-1].body.decode() == (
        '{"messages":[{"role":"user","content":"ä 😀 / \\n"}],"model":"scripted","temperature":1.50,'
        '"stream":false,"x":{},"y":[1,2e3]}')


def test_units_that_are_reserved(system, node, client):
    client.json("POST", CHAT, body("x" * 1000, max_tokens=100))
    assert 100 + 1000 / 3 < node.requests[-1].units < 100 + 1000
    client.json("POST", CHAT, body("x", max_completion_tokens=7, n=3))
    assert 21 < node.requests[-1].units < 100
    client.json("POST", CHAT, body("x"))
    assert 8192 < node.requests[-1].units < 8300  # the node's default on top


def test_tool_calls_and_utf8_pass_as_they_are(system, node, client):
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"ö":"\u2028"}'}}

    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece(tool_calls=[call])))
        r.plain_text(r.plain_object(r.piece("grüße 😀 \u0000", finish="tool_calls")))
        r.plain_text(r.plain_object(r.usage_piece(), (3, 2)))
        r.done()

    node.script = script
    objects = stream(client, tools=[{"type": "function", "function": {"name": "f"}}])
    assert objects[0]["choices"][0]["delta"]["tool_calls"] == [call]
    assert content(objects) == "grüße 😀 \u0000"


@pytest.mark.parametrize("how", ["sorted", "spaced", "lines"])
def test_members_anywhere(system, node, client, how):
    """A node that puts the two members where its serializer likes: everything else is what was signed."""
    def script(r):
        o = r.piece("hi", "stop") | {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, "zz": 1}
        seps = {"spaced": (", ", ": "), "lines": (",\n ", ": ")}.get(how, (",", ":"))
        dumps = lambda x: json.dumps(x, sort_keys=True, separators=seps)  # noqa: E731
        digest = H(dumps(o).encode())
        r.seen, r.count = digest, 1
        receipt = r.receipt_bytes(0, (1, 1))
        o |= {"response_hash": b64(digest), "signature": node.sign(digest), "receipt": b64(receipt),
              "receipt_signature": node.sign(H(b"sealway-receipt-v1" + receipt))}
        r.head()
        r.data("data: " + dumps(o).replace("\n", "\ndata: ") + "\n\n")
        r.done()

    node.script = script
    objects = stream(client)
    assert content([{"choices": [{"delta": {"content": c["text"]}} for c in objects[0]["choices"]]}]
                   if "text" in objects[0]["choices"][0] else objects) == "hi"
    assert objects[0]["zz"] == 1 and "receipt" not in objects[0]


# --- what does not ---

def refused(client, status, code, path=CHAT, **kw):
    with pytest.raises(Refused) as r:
        client.json("POST", path, kw.pop("body", None) or body(**kw))
    assert (r.value.status, r.value.error["code"]) == (status, code), r.value
    assert r.value.error["request_id"]
    return r.value.error


@pytest.mark.parametrize("bad,param", [
    ({"model": 7}, "model"), ({"model": ""}, "model"), ({"messages": "x"}, "messages"), ({"messages": []}, "messages"),
    ({"stream": "yes"}, "stream"), ({"stream_options": 1}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options"), ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"), ({"max_tokens": "9"}, "max_tokens"), ({"max_tokens": 2**53}, "max_tokens"),
    ({"max_tokens": 2**52, "n": 128}, "max_tokens"), ({"max_tokens": 2**31}, "max_tokens"),
    ({"max_completion_tokens": 1e300}, "max_completion_tokens"), ({"n": 0}, "n"), ({"n": 129}, "n"),
])
def test_bad_bodies(system, node, client, bad, param):
    error = refused(client, 400, "INVALID_BODY", body=body() | bad)
    assert error["param"] == param and error["type"] == "invalid_request_error"
    assert not node.requests


def test_other_refusals(system, node, client):
    assert refused(client, 503, "SERVICE_UNAVAILABLE", body=body() | {"model": "nobody's"})
    stranger = Client(system[0].url, "sk-not-a-token")
    assert refused(stranger, 401, "AUTH_ERROR")["type"] == "authentication_error"
    assert client.request("GET", CHAT)[0] == 405
    assert client.request("POST", CHAT, b'{"model":"scripted","model":"x","messages":[1]}')[0] == 400
    assert client.request("POST", CHAT, b"not json")[0] == 400
    assert client.request("POST", "/v1/images/generations", {"model": "scripted", "prompt": "x", "size": "0x1"})[0] == 400
    assert client.request("POST", "/v1/embeddings", {"model": "scripted", "input": "x", "stream": True})[0] == 400
    assert not node.requests


def test_no_money_no_answer(system, node):
    poor = "poor" + os.urandom(4).hex()
    admin(system[0], "user.add", name=poor)
    token = admin(system[0], "token.create", user=poor, name="t")["token"]
    error = refused(Client(system[0].url, token), 402, "BALANCE_ERROR")
    assert error["type"] == "insufficient_quota" and not node.requests
    admin(system[0], "user.fund", user=poor, micro_usd=1000000, reason="test")
    assert Client(system[0].url, token).json("POST", CHAT, body())["choices"]


other_key = Ed25519PrivateKey.generate()


class Other:
    """Signs with another key than the node's, and says so."""
    public = other_key.public_key().public_bytes(*RAW)

    @classmethod
    def sign(cls, digest):
        return b64(b"\x00" + other_key.sign(digest) + cls.public)


LIES = {
    "wrong hash": lambda r, o, u: r.plain_object(o, u, response_hash=b64(H(b"x"))),
    "hash of another text": lambda r, o, u: r.plain_object(o, u).replace("hi", "ho"),
    "wrong signature": lambda r, o, u: r.plain_object(o, u, signature=r.node.sign(H(b"x"))),
    "foreign key": lambda r, o, u: r.plain_object(o, u, signer=Other),
    "no hash": lambda r, o, u: r.plain_object(o, u, response_hash=...),
    "no signature": lambda r, o, u: r.plain_object(o, u, signature=...),
    "not strict": lambda r, o, u: r.plain_object(o, u) + "x",
    "an error object": lambda r, o, u: r.plain_object({"error": {"message": "secret of the node"}}, u),
    "an error beside": lambda r, o, u: r.plain_object(o | {"error": {"message": "secret of the node"}}, u),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_lies(system, node, client, lie, streamed):
    before = settled(system)

    def script(r):
        o = r.piece("hi", "stop")
        if not streamed:
            return r.whole(200, LIES[lie](r, o, (1, 1)).encode())
        r.head()
        r.plain_text(r.plain_object(r.piece("good ")))
        r.plain_text(LIES[lie](r, o, None))
        return False

    node.script = script
    if not streamed:
        error = refused(client, 500, "INTERNAL_ERROR")
        assert "secret" not in json.dumps(error)
    else:
        with pytest.raises(Cut) as c:
            stream(client)
        (_, first), (kind, last) = c.value.events
        assert content([json.loads(first)]) == "good " and kind == "error" and "secret" not in last
    assert settled(system) == before


RECEIPT_LIES = [dict(endpoint=6), dict(endpoint=1), dict(rid=os.urandom(16)), dict(stack=1), dict(key=os.urandom(32)),
                dict(plain_hash=bytes(32)), dict(model=H(b"x")), dict(transcript=H(b"")), dict(chunks=9),
                dict(prompt=4), dict(outcome=1)]


@pytest.mark.parametrize("lie", RECEIPT_LIES, ids=lambda d: next(iter(d)))
def test_receipts_that_do_not_fit(system, node, client, lie):
    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("hi", "stop")))
        r.plain_text(r.plain_object(r.usage_piece(), (3, 1), receipt=lie))
        r.done()

    node.script = script
    with pytest.raises(Cut) as c:
        stream(client)
    assert c.value.events[-1][0] == "error"


def test_no_receipt(system, node, client):
    before = settled(system)
    node.script = lambda r: r.whole(200, r.plain_object(r.piece("x", "stop"), (1, 1), bare=True).encode())
    refused(client, 500, "INTERNAL_ERROR")
    assert settled(system) == before


@pytest.mark.parametrize("how", ["event", "cut", "no done", "done too early"])
def test_broken_streams(system, node, client, how):
    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("good")))
        if how == "event":
            r.data('event: error\ndata: {"error":{"message":"secret of the node"}}\n\n')
        if how == "done too early":
            r.done()
        if how == "no done":
            return False  # nor an end
        return None if how != "cut" else r.send(b"zz\r\n")

    node.script = script
    with pytest.raises(Cut) as c:
        stream(client)
    kind, data = c.value.events[-1]
    assert kind == "error" and json.loads(data)["error"]["code"] == "INTERNAL_ERROR" and "secret" not in data
    assert "[DONE]" not in [d for _, d in c.value.events]


def test_client_that_leaves(system, node, client):
    """The node is told to stop, and what it then signs is billed."""
    before = settled(system)
    stop = threading.Event()
    node.on_stop = lambda rid: stop.set()

    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("good")))
        assert stop.wait(20)
        r.plain_text(r.plain_object(r.usage_piece(), (3, 1), outcome=1))
        r.done()

    node.script = script
    c = client.connect()
    c.request("POST", CHAT, json.dumps(body(stream=True)),
              {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"})
    r = c.getresponse()
    assert r.read(10)
    c.sock.shutdown(socket.SHUT_RDWR)
    c.close()
    assert stop.wait(20)
    assert settled(system) - before == 4


# --- another node ---

@pytest.fixture(scope="module")
def second(system):
    with ScriptedNode(system[0], 78, price=2000) as n:  # dearer: asked when the first one cannot
        yield n


@pytest.fixture
def both(system, node, second):
    second.script = Request.honest
    second.requests.clear()
    second.errors.clear()
    ready(system, second)
    yield node, second
    assert not second.errors, second.errors


def answer(status, reason=None):
    return lambda r: r.whole(status, {"error": {"code": "X", "message": "secret", "reason": reason}})


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [423, 425, 429, 502, 503])
def test_one_other_node(system, both, client, status, streamed):
    first, second = both
    before = settled(system)
    first.script = answer(status)
    if streamed:
        assert content(stream(client)) == "one two three"
    else:
        assert client.json("POST", CHAT, body())["choices"][0]["message"]["content"] == "one two three"
    assert [len(first.requests), len(second.requests)] == [1, 1]
    assert first.requests[0].rid == second.requests[0].rid and first.requests[0].body == second.requests[0].body
    assert first.requests[0].stack != second.requests[0].stack
    assert settled(system) - before == 6


@pytest.mark.parametrize("status,code", [(423, 423), (425, 425), (429, 429), (502, 500), (503, 503)])
def test_never_a_third_time(system, both, client, status, code):
    before = settled(system)
    for n in both:
        n.script = answer(status)
    with pytest.raises(Refused) as r:
        client.json("POST", CHAT, body())
    assert r.value.status == code and "secret" not in json.dumps(r.value.error)
    assert [len(n.requests) for n in both] == [1, 1]
    assert settled(system) == before


@pytest.mark.parametrize("script,code", [(answer(400), 400), (answer(500), 500), (answer(425, "already_answered"), 425)])
def test_what_no_other_node_is_asked_for(system, both, client, script, code):
    both[0].script = script
    with pytest.raises(Refused) as r:
        client.json("POST", CHAT, body())
    assert r.value.status == code
    assert [len(n.requests) for n in both] == [1, 0]


def test_a_node_that_cannot_be_reached(system, both, client):
    first, second = both
    address = first.address
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    first.address = f"http://127.0.0.1:{port}"
    try:
        assert first.register() == 200
        assert client.json("POST", CHAT, body())["choices"]
        assert len(second.requests) == 1
    finally:
        first.address = address
        assert first.register() == 200


def test_nothing_goes_elsewhere_once_it_has_begun(system, both, client):
    first, second = both

    def script(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("good")))
        return False

    first.script = script
    with pytest.raises(Cut):
        stream(client)
    assert not second.requests
