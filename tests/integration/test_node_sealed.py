# SPDX-License-Identifier: Apache-2.0
"""Sealed requests to a real sealway-node, as a worker sends them: what our own proxy would never send is refused too."""
import http.client
import json
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealclient import Envelope, b64, unb64
from test_node_plain import STACK, Node

PATH = "/v1/confidential/completions"


class Gateway(BaseHTTPRequestHandler):
    """Takes the node's registration, whose key statement has the key to seal to."""

    def do_POST(self):
        self.server.registration = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "21")
        self.end_headers()
        self.wfile.write(b'{"message":"Success"}')

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def node():
    with tempfile.TemporaryDirectory(prefix="sw") as dir, ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        n = Node(dir, "--gateway", f"http://127.0.0.1:{gateway.server_port}", "--models", "name=demo max_concurrent=1",
                 "--engine", "echo:rate=20")
        statement = msgpack.unpackb(unb64(gateway.registration["registration"]))["statement"]
        n.lock = {"public_key": b64(statement[9:41]), "node_signing_key": b64(n.sign_key), "stack_small_id": STACK}
        yield n
        n.part.end()
        gateway.shutdown()


def seal(node, stream=None, **plain):
    plain = {"model": "demo", "prompt": "a b", "max_tokens": 1, **plain}
    return Envelope(node.lock, plain | ({} if stream is None else {"stream": stream}), "demo", stream)


def post(node, envelope, **how):
    """(response, its error object or None) of the request."""
    _, _, r = node.ask(PATH, envelope if isinstance(envelope, bytes) else json.dumps(envelope.body).encode(), **how)
    data = r.read()
    return r, data, json.loads(data).get("error") if r.status != 200 else None


def assert_answered(node, envelope):
    r, data, _ = post(node, envelope)
    assert r.status == 200, data
    envelope.open([json.loads(data)], "completions")


def refused(node, status, envelope, **how):
    r, data, error = post(node, envelope, **how)
    assert r.status == status, data
    return error


def test_the_stack_is_that_of_the_authorisation(node):
    """Else a client could have its request billed to one stack while its own envelope names another."""
    e = seal(node)
    error = refused(node, 400, e, stack=STACK + 1, headers={"X-Stack-Small-Id": str(STACK + 1)})
    assert error["param"] == "stack_small_id"


def test_a_request_id_is_answered_once(node):
    rid = os.urandom(16)
    assert post(node, seal(node), rid=rid)[0].status == 200
    assert refused(node, 425, seal(node), rid=rid)["reason"] == "already_answered"


def test_a_sealed_request_is_answered_once_whoever_sends_it(node):
    """Under another request id, with other clear members, also after a forgery of it that used nothing up."""
    e = seal(node)
    forged = unb64(e.body["ciphertext"])
    forged = json.dumps(e.body | {"ciphertext": b64(forged[:-1] + bytes([forged[-1] ^ 1]))}).encode()
    assert refused(node, 400, forged)["param"] == "ciphertext"
    assert_answered(node, e)
    assert refused(node, 425, e)["reason"] == "already_answered"
    assert refused(node, 425, json.dumps(e.body | {"more": 1}).encode())["reason"] == "already_answered"


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xed" + b"\xff" * 30 + b"\x7f"],
                         ids=["0", "1", "p-1", "p"])
def test_keys_that_agree_on_nothing(node, key):
    error = refused(node, 400, json.dumps(seal(node).body | {"client_dh_public_key": b64(key)}).encode())
    assert error["param"] == "client_dh_public_key"


def test_no_more_at_once_than_the_model_may(node):
    e = seal(node, stream=True, max_tokens=12)
    _, _, r = node.ask(PATH, json.dumps(e.body).encode())
    first = r.readline() + r.readline()
    assert r.status == 200
    assert refused(node, 429, seal(node))["code"] == "TOO_MANY_REQUESTS"
    objects = (first + r.read()).decode().strip().split("\n\n")
    e.open([json.loads(o.removeprefix("data: ")) for o in objects], "completions")
    assert_answered(node, seal(node))


@pytest.mark.parametrize("method, path", [("GET", "/v1/receipts/{}"), ("POST", "/v1/stop-streamer")])
def test_who_may_fetch_and_stop(node, method, path):
    rid = os.urandom(16)
    assert post(node, seal(node), rid=rid)[0].status == 200

    def status(headers):
        return node.call(method, path.format(rid.hex()), headers=headers).status

    assert status(node.authorise(rid, b"")) == (200 if method == "GET" else 404)  # it runs no more
    assert status({}) == status({"X-Request-Id": rid.hex()}) == 401
    assert status(node.authorise(rid, b"", key=Ed25519PrivateKey.generate())) == 401
    assert status(node.authorise(rid, b"", until=-1)) == status(node.authorise(rid, b"", for_node=2)) == 401
    other = node.authorise(os.urandom(16), b"")
    assert status(other | {"X-Request-Id": rid.hex()}) == 401
    if method == "GET":
        assert status(other) == status({"X-Sealway-Auth": other["X-Sealway-Auth"]}) == 401


def test_one_authorisation(node):
    """Of two it would be chance which one is looked at, here and in a proxy before the node."""
    e, rid = json.dumps(seal(node).body).encode(), os.urandom(16)
    good = node.authorise(rid, e)
    c = http.client.HTTPConnection(node.address, timeout=20)
    c.putrequest("POST", PATH)
    for name, value in [*good.items(), ("X-Sealway-Auth", node.authorise(rid, e, units=1 << 30)["X-Sealway-Auth"]),
                        ("Content-Length", str(len(e)))]:
        c.putheader(name, value)
    c.endheaders(e)
    assert c.getresponse().status == 401
