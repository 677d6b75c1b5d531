# SPDX-License-Identifier: Apache-2.0
"""The registry by real processes: nodes that die, hang and come back, both forms of registration, evidence, lists,
and stacks that a node locks."""
import json
import os
import signal
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cluster import SLOW, wait_for
from parts import Parts
from scripted_node import Request, ScriptedNode, admin
from sealclient import RAW, Client, H, Refused, b64, text_of, unb64

# after probe_ms and a quarter the first failure, after a fifth of that the second, each within the timeout
BOUND = 0.5 * 1.25 + 0.1 * 1.25 + 2 * 0.5 + 1
PROBES = ("--probe-ms", "500", "--probe-timeout-ms", "500", "--breaker-failures", "2", "--breaker-open-ms", "300")


@pytest.fixture(scope="module")
def four():
    with Parts() as p:
        p.start("broker", *PROBES)
        p.start("worker")
        p.start("worker", "--publish", f"ipc://{p.dir}/publish2", name="worker2")
        p.start("gateway")
        p.start("node")
        p.operate()
        p.ready()
        with open(os.path.join(p.dir, "broker-socket.ini"), "w") as f:
            f.write(f"admin = ipc://{p.dir}/admin.sock\n")
        yield p


@pytest.fixture
def client(four):
    wait_for("node 1", lambda: health(four)["breaker"] == "closed" and node(four)["state"] == "ready")
    return Client(four.url, four.token, "demo")


def node(p, number=1):
    return next(n for n in admin(p, "node.list")["nodes"] if n["node"] == number)


def health(p, number=1):
    return node(p, number)["health"]


def models(c):
    return [m["id"] for m in c.json("GET", "/v1/models")["data"]], \
        [m["id"] for m in c.json("GET", "/v1/open_router/models", auth=False)["data"]]


def lockable(c):
    try:
        c.lock()
        return True
    except Refused as r:
        assert r.status == 503 and int(r.headers["retry-after"]) >= 1
        return False


def served(c):
    return text_of([c.post("completions", c.seal({"model": c.model, "prompt": "a b", "max_tokens": 3}))]) == "a b a"


def test_workers_ask_in_turn(four, client):
    def asked(name):
        return getattr(four, name).metrics()["sealway_worker_probes_total"]

    before = asked("worker"), asked("worker2")
    wait_for("both workers to ask", lambda: asked("worker") >= before[0] + 2 and asked("worker2") >= before[1] + 2)
    h = health(four)
    assert h == {"breaker": "closed", "failures": 0, "last_probe": h["last_probe"], "reached": True,
                 "latency_ms": h["latency_ms"], "workers_refused": 0}
    assert abs(time.time() - h["last_probe"]) < 5 * SLOW and 0 < h["latency_ms"] < 500 * SLOW
    shown = json.loads(four.run("node", "show", "1", "--json"))
    assert shown["health"]["breaker"] == "closed" and shown["state"] == "ready"
    m = four.broker.metrics()
    assert m['sealway_broker_probes_total{result="ok"}'] > 0 and m["sealway_broker_probe_seconds_count"] > 0
    assert m["sealway_broker_nodes_failing"] == 0


def test_a_node_that_dies_leaves_and_comes_back(four, client):
    assert served(client) and models(client) == (["demo"], ["demo"])
    four.node.kill()
    began = time.time()
    wait_for("the node to leave the rotation", lambda: not lockable(client), BOUND)
    assert models(client) == ([], [])
    assert node(four)["state"] == "failing" and not health(four)["reached"]
    assert health(four)["breaker"] in ("open", "half_open")
    assert time.time() - began < (BOUND + 1) * SLOW
    assert four.broker.metrics()["sealway_broker_nodes_failing"] == 1
    four.start("node")
    wait_for("the node to come back", lambda: lockable(client), 5)
    assert served(client) and models(client) == (["demo"], ["demo"])
    assert four.broker.metrics()["sealway_broker_nodes_failing"] == 0


def test_a_node_that_is_stopped_leaves_at_once(four, client):
    """Its last word takes its models back; nobody has to fail there first."""
    assert lockable(client)
    four.node.p.terminate()
    assert four.node.p.wait(30 * SLOW) == 0
    assert not lockable(client) and models(client) == ([], [])
    assert health(four)["breaker"] == "closed"
    four.started.remove(four.node)
    four.start("node")
    wait_for("the node to come back", lambda: lockable(client), 5)
    assert served(client) and models(client) == (["demo"], ["demo"])


def test_a_node_that_is_stopped_does_not_wait_for_its_gateway(four, client):
    began = time.time()
    four.gateway.p.send_signal(signal.SIGSTOP)
    try:
        four.node.p.terminate()
        assert four.node.p.wait(30 * SLOW) == 0
    finally:
        four.gateway.p.send_signal(signal.SIGCONT)
    assert time.time() - began < 10 * SLOW
    four.started.remove(four.node)
    four.start("node")

    def back():  # the gateway may pass the old one's last word on only now
        try:
            return served(client)
        except Refused:
            return False

    wait_for("the node to come back", back, 15)


def test_a_node_that_hangs_leaves_and_comes_back(four, client):
    """It accepts connections and says nothing; it comes back without registering, by its answers alone."""
    seen = node(four)["seen"]
    four.node.p.send_signal(signal.SIGSTOP)
    try:
        wait_for("the node to leave the rotation", lambda: not lockable(client), BOUND)
        time.sleep(0.8)  # several trials
        assert not lockable(client)
    finally:
        four.node.p.send_signal(signal.SIGCONT)
    wait_for("the node to come back", lambda: lockable(client), 3)
    assert served(client) and node(four)["seen"] == seen


def test_a_dead_worker_takes_no_node_out(four, client):
    four.worker2.p.send_signal(signal.SIGSTOP)
    end = time.time() + 2.5
    try:
        while time.time() < end:
            assert health(four)["breaker"] == "closed"
            time.sleep(0.05)
    finally:
        four.worker2.p.send_signal(signal.SIGCONT)
    assert served(client)


def test_a_stack_that_the_node_locks(four, client):
    with ScriptedNode(four, 50, "locking") as n:
        c = Client(four.url, four.token, "locking")
        wait_for("the node", lambda: lockable(c))

        def stacks():
            return {s["stack"]: s for s in admin(four, "stack.list")["stacks"] if s["model"] == "locking"}

        def complete(lock):
            e = c.seal({"model": "locking", "prompt": "one two", "stream": False}, lock=lock)
            return text_of([c.post("completions", e)])

        n.script = lambda r: r.whole(423, {"error": {"code": "LOCKED"}})
        first = c.lock(100)
        with pytest.raises(Refused) as r:
            complete(first)
        assert r.value.status == 423 and r.value.error["code"] == "LOCKED"
        wait_for("the mark", lambda: stacks()[first["stack_small_id"]]["state"] == "locked")
        n.script = Request.honest
        asked = len(n.requests)
        with pytest.raises(Refused) as r:
            complete(dict(first))
        assert r.value.status == 423 and len(n.requests) == asked  # the broker says it now
        second = c.lock(100)
        assert second["stack_small_id"] != first["stack_small_id"] and second["stack_entry_digest"]
        assert complete(second) == "one two"
        old = stacks()[first["stack_small_id"]]
        assert old["bought"] == old["free"] + old["reserved"] + old["spent"] and old["spent"] == 0
        assert admin(four, "ledger.check")["ok"]
        assert "locked" in four.run("stack", "list")
        shown = json.loads(four.run("stack", "unlock", str(first["stack_small_id"]), "--json"))
        assert shown["state"] == "open" and shown["stack"] == first["stack_small_id"]
        assert complete(dict(first)) == "one two"
        assert four.sealway("stack", "unlock", "12345").returncode != 0
        admin(four, "node.remove", node=50)


def attestation(c, number):
    return c.request("GET", f"/v1/nodes/{number}/attestation", auth=False)


def test_evidence(four, client):
    with ScriptedNode(four, 51, "proved") as n:
        status, _, body = attestation(client, 51)
        answer = json.loads(body)
        assert status == 200 and answer["evidence"] is None and answer["evidence_time"] is None
        evidence = os.urandom(1 << 20)  # the most that is taken
        change = {"evidence_hash": H(evidence)}
        assert n.register(n.registration(**change), evidence=b64(evidence)) == 200
        status, _, body = attestation(client, 51)
        answer = json.loads(body)
        assert status == 200 and unb64(answer["evidence"]) == evidence
        assert abs(answer["evidence_time"] - time.time()) < 60
        assert unb64(answer["node_signing_key"]) == n.public and unb64(answer["public_key"]) == n.x_public
        statement = unb64(answer["key_statement"], 65)
        assert statement[9:41] == n.x_public and statement[1:9] == (51).to_bytes(8, "big")
        signature = unb64(answer["key_signature"], 97)
        n.sign_key.public_key().verify(signature[1:65], H(b"sealway-key-v1" + statement))

        more = os.urandom((1 << 20) + 1)
        assert n.register(n.registration(evidence_hash=H(more)), evidence=b64(more)) == 400
        assert n.register(n.registration(evidence_hash=H(b"x")), evidence=b64(b"y")) == 400
        assert n.register(n.registration(evidence_hash=H(b"x"))) == 400  # hashed, not shown
        assert n.register(n.registration(evidence_hash=H(b"x")), evidence="eA") == 400
        assert unb64(json.loads(attestation(client, 51)[2])["evidence"]) == evidence  # refusals change nothing
        assert n.register() == 200
        assert json.loads(attestation(client, 51)[2])["evidence"] is None
        admin(four, "node.remove", node=51)
        assert attestation(client, 51)[0] == 404
        assert attestation(client, 52)[0] == 404


def test_registrations_that_are_replayed(four, client):
    with ScriptedNode(four, 53, "replayed") as n:
        c = Client(four.url, four.token, "replayed")
        wait_for("the node", lambda: lockable(c))
        old = n.registration()
        assert n.register(old) == 200
        assert n.register(old) == 400
        before = admin(four, "node.show", node=53)["counter"]
        old_key = c.lock()["public_key"]
        n.x_key = X25519PrivateKey.generate()
        n.x_public = n.x_key.public_key().public_bytes(*RAW)
        assert n.register() == 200  # a registration is how keys rotate
        assert n.register(old) == 400
        assert unb64(c.lock()["public_key"]) == n.x_public != unb64(old_key)
        assert admin(four, "node.show", node=53)["counter"] > before
        # the original form, signed by the node itself, moves nobody and keeps nobody alive
        home = n.address
        for n.address in (home, "http://127.0.0.1:9"):
            assert n.register(registration=b"x", registration_signature=None) == 400
        data = {"node_small_id": 53, "public_address": "http://127.0.0.1:9", "country": "DE"}
        compact = json.dumps(data, separators=(",", ":")).encode()
        body = {"data": data, "signature": n.sign(H(compact))}
        assert Client(four.url, "").request("POST", "/v1/nodes", body, auth=False)[0] == 400
        assert node(four, 53)["address"] == home
        four.run("node", "admit", "--readdress", "--url", "http://127.0.0.1:10", "--id", "53")
        assert node(four, 53)["address"] == "http://127.0.0.1:10"
        admin(four, "node.remove", node=53)
        assert n.register() == 404


def test_signatures_that_are_refused_say_why(four):
    """A node's operator reads no word of bearer tokens, which a registration has none of."""
    with ScriptedNode(four, 54, "unsigned") as n:
        data = {"node_small_id": 54, "public_address": n.address, "country": "DE"}
        good = unb64(n.sign(H(json.dumps(data, separators=(",", ":")).encode())))
        for signature, said in ((bytes([1]) + bytes(97), "unsupported signature scheme"),  # secp256k1
                                (bytes([2]) + good[1:], "unsupported signature scheme"),  # secp256r1
                                (good[:1] + bytes(64) + good[65:], "does not verify")):
            body = {"data": data, "signature": b64(signature), "registration": b64(n.registration()),
                    "registration_signature": n.sign(H(b"x"))}
            status, headers, text = Client(four.url, "").request("POST", "/v1/nodes", body, auth=False)
            error = json.loads(text)["error"]
            assert status == 401 and error["code"] == "AUTH_ERROR" and said in error["message"], error
            assert "token" not in error["message"] and "www-authenticate" not in headers


class Registrant(ScriptedNode):
    """One that only registers; nobody is at its address."""

    def __init__(self, up, node_id):
        self.up, self.id, self.model, self.price, self.counter = up, node_id, "demo", 1000, 0
        self.sign_key, self.x_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.public = self.sign_key.public_key().public_bytes(*RAW)
        self.x_public = self.x_key.public_key().public_bytes(*RAW)
        admin(up, "node.admit", signing_key=b64(self.public), node=node_id)


@pytest.fixture(scope="module")
def registrant(four):
    return Registrant(four, 60)


@pytest.mark.parametrize("address", ["http://user@127.0.0.1:9", "http://127.0.0.1:9/path", "http://127.0.0.1:9?x=1",
                                     "http://127.0.0.1:9#x", "http://8.8.8.8", "http://localhost:9", "ftp://127.0.0.1",
                                     "http://[::1]:9", "http://10.0.0.1", "http://2130706433", "http://127.1:9",
                                     "http://127.0.0.1:0", "http://127.0.0.1:99999", "HTTP://127.0.0.1:9",
                                     "http://127.0.0.1:9\\@8.8.8.8", "http://", "https://[fe80::1%25lo]"])
def test_addresses_that_are_refused(four, registrant, address):
    registrant.address = address
    assert registrant.register() == 400
    assert node(four, 60)["address"] == ""
    r = four.sealway("node", "admit", "--readdress", "--url", address, "--id", "60")
    assert r.returncode != 0 and "url" in r.stderr
