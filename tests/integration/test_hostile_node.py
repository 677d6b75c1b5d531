# SPDX-License-Identifier: Apache-2.0
"""What the client gets, and what is billed, when a node answers oddly or lies."""
import json
import os
import threading
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cluster import children, rss_kb, wait_for
from scripted_node import Request, admin
from sealclient import Client, Cut, H, RAW, Refused, b64, text_of, unb64

FOREVER = 30


@pytest.fixture
def node(system):
    system[1].script = Request.honest
    system[1].on_stop = None
    system[1].receipts.clear()
    system[1].stops.clear()
    settled(system)
    assert system[1].register() == 200  # the breaker that the lies of the test before may have opened half-opens
    wait_for("the node to be found healthy", lambda: all(n["health"]["breaker"] == "closed"
                                                         for n in admin(system[0], "node.list")["nodes"]))
    return system[1]


@pytest.fixture
def client(system):
    return Client(system[0].url, system[0].token, "scripted")


def units(system):
    """(spent, reserved) over all stacks of the scripted model."""
    stacks = [s for s in admin(system[0], "stack.list")["stacks"] if s["model"] == "scripted"]
    return sum(s["spent"] for s in stacks), sum(s["reserved"] for s in stacks)


def settled(system):
    """Spent units once nothing is reserved any more."""
    wait_for("everything to be settled", lambda: units(system)[1] == 0)
    return units(system)[0]


def ask(client, stream=True, prompt="one two three", **kw):
    e = client.seal({"model": "scripted", "prompt": prompt, "stream": stream}, stream=stream, **kw)
    return client.post_stream("completions", e) if stream else [client.post("completions", e)]


def refusal(client, stream=True, **kw):
    with pytest.raises(Refused) as r:
        ask(client, stream, **kw)
    assert r.value.error["request_id"] and r.value.headers["x-request-id"]
    return r.value


def broken(client):
    """The events of a stream that ends badly: the last is the error event, and the end is not clean."""
    with pytest.raises(Cut) as c:
        ask(client)
    kind, data = c.value.events[-1]
    assert kind == "error" and json.loads(data)["error"]["code"]
    return c.value.events


@pytest.mark.parametrize("stream", [True, False])
def test_honest_answers_pass(system, node, client, stream):
    before = settled(system)
    assert text_of(ask(client, stream)) == "one two three"
    assert settled(system) - before == 6


def stream_bytes(r):
    words = r.plain["prompt"].split()
    objects = [r.object((" " if i else "") + w) for i, w in enumerate(words)]
    return objects + [r.object("", True, "stop", usage=(len(words), len(words)))]


@pytest.mark.parametrize("how", ["byte by byte", "one packet", "CRLF", "CR", "comments", "multi-line", "fields", "bom"])
def test_every_way_to_cut_lines(system, node, client, how):
    def script(r):
        nl = {"CRLF": "\r\n", "CR": "\r"}.get(how, "\n")
        out = "\ufeff" if how == "bom" else ""
        for o in stream_bytes(r):
            text = json.dumps(o)
            if how == "comments":
                out += ": a comment\n\n:\n"
            if how == "fields":
                out += "id: 7\nretry: 10\nunknown: x\nevent\n"
            if how == "multi-line":
                text = text.replace(", ", ",\ndata: ")
            out += f"data: {text}{nl}{nl}"
        r.head()
        data = out.encode()
        if how == "byte by byte":
            for i in range(0, len(data), 7):
                r.data(data[i:i + 7])
                if i % 210 == 0:
                    time.sleep(0.001)
        else:
            r.data(data)
        r.end()

    node.script = script
    assert text_of(ask(client)) == "one two three"


def test_foreign_members_do_not_pass(system, node, client):
    def script(r):
        r.head()
        r.event(r.object("a", tracking="x", usage=None) | {"usage": None})
        r.event(r.object("", True, "stop"))
        r.end()

    node.script = script
    assert text_of(ask(client)) == "a"  # the client's own check refuses members that do not belong


RECEIPT_LIES = [dict(version=2), dict(outcome=7), dict(endpoint=2), dict(rid=os.urandom(16)), dict(stack=1 << 40),
                dict(key=os.urandom(32)), dict(plain_hash=os.urandom(32)), dict(model=H(b"another")),
                dict(transcript=H(b"")), dict(chunks=99), dict(prompt=2**60), dict(completion=2**63)]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("lie", RECEIPT_LIES, ids=lambda d: next(iter(d)))
def test_receipt_with_one_field_wrong(system, node, client, lie, stream):
    def script(r):
        if stream:
            r.head()
            r.event(r.object("a"))
            r.event(r.object("", True, "stop", receipt=lie))
            r.end()
        else:
            r.whole(200, r.object("a", True, "stop", receipt=lie))

    before = settled(system)
    node.script = script
    if stream:
        broken(client)
    else:
        assert refusal(client, False).status == 500
    assert settled(system) == before


def other_key(node):
    class Signer:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(*RAW)

        def sign(self, digest):
            return b64(b"\x00" + self.key.sign(digest) + self.public)

    return Signer()


@pytest.mark.parametrize("what", ["foreign key", "flipped signature", "flag 1", "no receipt", "no signature", "no hash",
                                  "receipt twice", "no usage", "other usage"])
def test_signatures_and_missing_parts(system, node, client, what):
    def script(r):
        r.head()
        r.event(r.object("a"))
        signer = other_key(node) if what == "foreign key" else None
        o = r.object("", True, "stop", signer=signer)
        if what == "flipped signature":
            o["receipt_signature"] = node.sign(H(b"something else"))
        if what == "flag 1":
            o["receipt_signature"] = b64(b"\x01" + b"x" * 96)
        for member, name in (("receipt", "no receipt"), ("signature", "no signature"), ("response_hash", "no hash"),
                             ("usage", "no usage")):
            if what == name:
                del o[member]
        if what == "other usage":
            o["usage"]["completion_tokens"] += 1
            o["usage"]["total_tokens"] += 1
        r.event(o)
        if what == "receipt twice":
            r.event(r.object("", True, "stop"))
        r.end()

    node.script = script
    before = settled(system)
    events = broken(client)
    assert events[0][0] == "message"
    assert settled(system) - before in (0, 5)  # five only where the receipt itself was good


BAD_OBJECTS = ["not json", "[]", "{}", '{"ciphertext":1}', '{"ciphertext":"AAAA","nonce":"AAAA"}', "{" * 100,
               '{"ciphertext":"%s","nonce":"AAAAAAAAAAAAAAAA","nonce":"AAAAAAAAAAAAAAAA"}' % b64(b"x" * 32),
               '{"ciphertext":"%s","nonce":"AAAAAAAAAAAAAAA="}' % b64(b"x" * 32), "\ud800".encode("utf-8", "surrogatepass")]


@pytest.mark.parametrize("text", BAD_OBJECTS, ids=range(len(BAD_OBJECTS)))
def test_malformed_objects(system, node, client, text):
    def script(r):
        raw = text if isinstance(text, bytes) else text.encode()
        r.head()
        r.event(r.object("a"))
        r.data(b"data: " + raw + b"\n\n")
        r.end()

    node.script = script
    assert len(broken(client)) == 2


@pytest.mark.parametrize("member", ["prompt_tokens", "completion_tokens", "total_tokens"])
@pytest.mark.parametrize("value", [-1, 2**31, 10**30, 1.5, "3"])
def test_usage_out_of_range(system, node, client, member, value):
    def script(r):
        o = r.object("a", True, "stop")
        o["usage"][member] = value
        r.whole(200, o)

    before = settled(system)
    node.script = script
    assert refusal(client, False).status == 500
    assert settled(system) == before


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status, expect", [(400, 400), (401, 500), (403, 500), (404, 500), (302, 500), (423, 423),
                                            (425, 425), (429, 429), (500, 500), (502, 500), (503, 503), (204, 500)])
def test_status_before_the_first_byte(system, node, client, status, expect, stream):
    before = settled(system)
    # what stands behind a 204 would be taken for the beginning of the next answer: that connection ends
    extra = {302: ("Location: http://127.0.0.1:1/",), 204: ("Connection: close",)}.get(status, ())
    node.script = lambda r: r.whole(status, {"error": {"message": "node's own words", "code": "NODE_SECRET"}}, extra=extra)
    r = refusal(client, stream)
    assert r.status == expect and r.error["param"] is None
    assert b"node's own" not in r.body and b"NODE_SECRET" not in r.body
    if expect in (429, 503):
        assert int(r.headers["retry-after"]) >= 1
    assert settled(system) == before


def lock_status(client):
    try:
        client.lock()
        return 200
    except Refused as r:
        return r.status


@pytest.mark.parametrize("reason", ["insufficient_units", "key_rotated", "already_answered", "key_unknown"])
def test_reasons_of_425(system, node, client, reason):
    node.script = lambda r: r.whole(425, {"error": {"code": "UNAVAILABLE_STACK", "reason": reason}})
    assert refusal(client).error["reason"] == reason
    if reason == "key_unknown":  # the key is gone at once: nobody is sent there until the node registers a new one
        wait_for("the broker to hear of it", lambda: lock_status(client) == 503)
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        node.x_key = X25519PrivateKey.generate()
        node.x_public = node.x_key.public_key().public_bytes(*RAW)
        assert node.register() == 200
        node.script = Request.honest
        assert text_of(ask(client)) == "one two three"


@pytest.mark.parametrize("after", [0, 1, 2])
def test_sudden_close(system, node, client, after):
    def script(r):
        if after:
            r.head()
        for i in range(after - 1):
            r.event(r.object("a"))
        return False

    before = settled(system)
    node.script = script
    if after == 0:
        assert refusal(client).status in (500, 503)
    else:
        events = broken(client)
        assert len(events) == after
    assert settled(system) == before


def test_clean_end_without_the_last_object(system, node, client):
    def script(r):
        r.head()
        r.event(r.object("a"))
        r.end()

    node.script = script
    assert len(broken(client)) == 2


def test_receipt_fetched_when_the_stream_was_cut(system, node, client):
    def script(r):
        r.head()
        r.event(r.object("a"))
        raw = r.receipt_bytes(1, (3, 1))
        node.receipts[r.rid] = {"receipt": b64(raw), "receipt_signature": node.sign(H(b"sealway-receipt-v1" + raw))}
        return False

    before = settled(system)
    node.script = script
    broken(client)
    assert settled(system) - before == 4


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_wrong_content_type_of_a_stream(system, node, client, content_type):
    def script(r):
        r.head(content_type=content_type)
        r.event(r.object("", True, "stop"))
        r.end()

    node.script = script
    assert refusal(client).status == 500


def test_endless_line_is_cut(system, node, client):
    def script(r):
        r.head()
        r.event(r.object("a"))
        r.data(b"data: ")
        for _ in range(100000):
            r.data(b"x" * 65536)

    node.script = script
    assert broken(client)[-1][0] == "error"


def test_usage_above_the_reservation_is_not_billed(system, node, client):
    node.script = lambda r: r.whole(200, r.object("a", True, "stop", usage=(10, 50000)))
    before = settled(system)
    e = client.seal({"model": "scripted", "prompt": "x", "stream": False}, units=100, lock=client.lock(50))
    client.post("completions", e)
    assert settled(system) - before == 100


def test_client_gone_stops_the_node(system, node, client):
    gone, told = threading.Event(), threading.Event()

    def script(r):
        r.head()
        r.event(r.object("a"))
        end = time.time() + FOREVER
        while not told.is_set() and time.time() < end:
            r.event(r.object("b"))
            time.sleep(0.02)
        r.event(r.object("", True, "stop", usage=(3, r.count), outcome=1))
        r.end()
        gone.set()

    before = settled(system)
    node.script, node.on_stop = script, lambda rid: told.set()
    e = client.seal({"model": "scripted", "prompt": "one two three", "stream": True}, stream=True)
    c = client.connect()
    c.request("POST", "/v1/confidential/completions", json.dumps(e.body).encode(),
              {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"})
    r = c.getresponse()
    r.readline()
    c.sock.close()
    r.close()
    c.close()
    wait_for("the node to be told", told.is_set, 5)
    assert gone.wait(10)
    assert settled(system) > before


def test_registrations_that_are_not_good(system, node, client):
    old = node.registration()
    assert node.register(old) == 200
    assert node.register(old) != 200  # replayed
    assert node.register(registration_signature=node.sign(H(b"x"))) != 200
    assert node.register(signature=node.sign(H(b"x"))) != 200
    assert node.register(registration=b"\x81\xa4node\x01") == 400
    stranger = other_key(node)
    packed = node.registration()
    assert node.register(packed, registration_signature=stranger.sign(H(b"sealway-register-v1" + packed))) != 200
    assert node.register() == 200
    assert text_of(ask(client)) == "one two three"


# --- without end ---

def resident(system, role):
    """MiB of that program, the largest if there are several."""
    best = 0
    for pid in children(system[0].p.pid):
        if os.readlink(f"/proc/{pid}/exe").endswith("sealway-" + role):
            best = max(best, rss_kb(pid) // 1024)
    assert best
    return best


def pour(r, piece=b"x" * 65536, most=1 << 30):
    """Sends for as long as anybody takes it; how much that was."""
    sent = 0
    try:
        while sent < most:
            r.send(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize("stream", [True, False])
def test_gigabyte_chunk(system, node, client, stream):
    """A chunk that says it has a gigabyte, and then comes: cut at the limit of a line or an answer."""
    took = []

    def script(r):
        r.head(content_type="text/event-stream" if stream else "application/json")
        r.send(b"40000000\r\n" + (b"data: " if stream else b'{"ciphertext":"'))
        took.append(pour(r))

    before, spent = resident(system, "worker"), settled(system)
    node.script = script
    if stream:
        broken(client)
    else:
        assert refusal(client, stream=False).status == 500
    wait_for("the node to be left", lambda: took)
    grown = resident(system, "worker") - before
    print(f"  of a gigabyte {took[0] >> 20} MB were taken; the worker grew by {grown} MB")
    assert took[0] < 256 << 20 and grown < 200
    assert settled(system) == spent


def test_gigabyte_length(system, node, client):
    """A whole answer that announces a gigabyte is refused before it has come."""
    took = []

    def script(r):
        r.head(content_type="application/json", length=1 << 30)
        took.append(pour(r))

    node.script = script
    assert refusal(client, stream=False).status == 500
    wait_for("the node to be left", lambda: took)
    print(f"  of a gigabyte {took[0] >> 20} MB were taken")
    assert took[0] < 256 << 20


def test_redirects_are_not_followed(system, node, client):
    """Not even to the node itself: the signed request would go to a place that nobody registered."""
    hits = []

    def script(r):
        hits.append(r.path)
        r.whole(307, b"", extra=(f"Location: {node.address}/elsewhere",))

    node.script = script
    for stream in (True, False):
        assert refusal(client, stream=stream).status == 500
    assert set(hits) == {"/v1/confidential/completions"} and len(hits) == 2


# --- node and client together ---

def test_what_a_client_and_a_node_can_have_signed(system, node, client):
    """The client chooses plaintext_body_hash, so X-Signature is a signature over bytes of its choice: by a key that
    signs nothing else.  The key that guards something never signs what either of them chose as it is."""
    wish = H(b"sealway-auth-v1" + b"\x01" * 81)  # what an authorisation of their own would hash to
    e = client.seal({"model": "scripted", "prompt": "x"})
    e.body["plaintext_body_hash"] = b64(wish)
    seen = []

    def script(r):
        seen.append(dict(r.headers))
        r.whole(400, b"{}")

    node.raw, node.script = True, script
    try:
        with pytest.raises(Refused):
            client.json("POST", "/v1/confidential/completions", e.body)
    finally:
        node.raw = False
    request_key = unb64(seen[0]["x-signature"], 97)[65:]
    Ed25519PublicKey.from_public_bytes(request_key).verify(unb64(seen[0]["x-signature"], 97)[1:65], wish)
    auth, _, signature = seen[0]["x-sealway-auth"].partition(".")
    auth_key = unb64(signature, 97)[65:]
    assert auth_key == node.proxy_auth != request_key
    with pytest.raises(InvalidSignature):  # the one over their wish is none of the key that nodes obey
        Ed25519PublicKey.from_public_bytes(auth_key).verify(unb64(seen[0]["x-signature"], 97)[1:65], wish)
    Ed25519PublicKey.from_public_bytes(auth_key).verify(unb64(signature, 97)[1:65], H(b"sealway-auth-v1" + unb64(auth, 81)))


def test_a_receipt_that_gives_units_away_is_the_nodes_loss(system, node, client):
    """The two may agree on a receipt of nothing: then nothing is billed, and nothing comes out of anywhere else."""
    before = settled(system)
    node.script = lambda r: r.whole(200, r.object("a b", True, "stop", usage=(0, 0)))
    ask(client, stream=False)
    assert settled(system) == before
    stack = admin(system[0], "stack.list")["stacks"]
    assert all(s["bought"] == s["free"] + s["reserved"] + s["spent"] for s in stack)
    assert admin(system[0], "ledger.check")["ok"] is True
