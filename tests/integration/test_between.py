# SPDX-License-Identifier: Apache-2.0
"""Between the processes, over tcp with CURVE: a gateway with a key of its own that lies by hand, keys that change
while everything runs, and a list that is read by itself."""
import os
import resource
import struct
import threading
import time

import msgpack
import pytest
import zmq
import zmq.utils.z85

from cluster import SLOW, wait_for
from parts import Parts, get
from sealclient import Client, Refused, text_of

HELLO, WELCOME, PING, INTRO, JOB, CANCEL, POSTED, SETTLE, CREDIT = 1, 2, 3, 8, 10, 12, 14, 19, 18


def key_of(p, name):
    import base64
    return zmq.utils.z85.encode(base64.b64decode(open(os.path.join(p.dir, "keys", name)).read()))


def curve_socket(p, kind, name, server):
    s = zmq.Context.instance().socket(kind)
    s.linger, s.immediate = 0, 1
    s.curve_secretkey, s.curve_publickey = key_of(p, name + ".key"), key_of(p, name + ".pub")
    s.curve_serverkey = server
    return s


class Liar:
    """A peer with a key on the list that speaks to broker and worker by hand."""

    def __init__(self, p, name="liar", role=1):
        self.p, self.name, self.topic = p, name, struct.unpack(">Q", os.urandom(8))[0]
        self.bus = curve_socket(p, zmq.DEALER, name, key_of(p, "broker.pub"))
        self.bus.connect(f"tcp://127.0.0.1:{p.bus}")
        self.sub = None
        self.hello(role)

    def hello(self, role):
        endpoint, key = ("", None) if role == 1 else ("tcp://127.0.0.1:9", b"k" * 32)
        m = [2, HELLO, None, role, self.topic, "liar", "1", endpoint, key, 10, 0]
        wait_for("the bus", lambda: self.say(m))

    def say(self, m, body=None):
        try:
            self.bus.send_multipart([msgpack.packb(m)] + ([body] if body is not None else []), zmq.DONTWAIT)
            return True
        except zmq.Again:
            return False

    def heard(self, kind, ms=5000):
        end = time.monotonic() + ms / 1000 * SLOW
        while self.bus.poll(max(0, (end - time.monotonic()) * 1000)):
            m = msgpack.unpackb(self.bus.recv_multipart()[0])
            if m[1] == kind:
                return m
        return None

    def to_worker(self):
        """Connects to the worker that the broker introduces."""
        m = self.heard(INTRO)
        self.sub = curve_socket(self.p, zmq.XSUB, self.name, zmq.utils.z85.encode(m[5]))
        self.sub.connect(m[4])
        seen = lambda: self.p.worker.log().count("publish.unknown_topic")  # noqa: E731
        before, topic = seen(), os.urandom(8)  # one: who asks for many is cut

        def heard():
            self.sub.send(b"\x01" + topic)
            return seen() > before

        wait_for("the worker to hear it", heard)

    def upstream(self, m):
        """As a gateway sends credits and cancels; see common/zsock_send.c."""
        for first in (b"\x01", b"\x00"):
            self.sub.send(first + b"\xffsw-up\x00\xff\x53" + msgpack.packb(m))

    def close(self):
        self.bus.close()
        if self.sub:
            self.sub.close()


@pytest.fixture(scope="module")
def parts():
    with Parts(engine="echo:rate=100") as p:
        p.run("keys", "new", "gateway", "liar", "--dir", "keys")
        p.run("keys", "new", "worker", "wolf", "--dir", "keys")
        p.start_all()
        p.operate()
        p.ready()
        yield p


@pytest.fixture
def liar(parts):
    x = Liar(parts)
    assert x.heard(WELCOME)
    x.to_worker()
    yield x
    x.close()


def stream(p, done, tokens=60, meanwhile=lambda: None):
    """A stream of some hundred ms; meanwhile runs once it has begun."""
    c = Client(p.url, p.token)
    e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": tokens, "stream": True}, stream=True)
    once = threading.Event()

    def on_event(*_):
        if not once.is_set():
            once.set()
            meanwhile()

    done.append(text_of(c.post_stream("completions", e, on_event)))


def instances(p, role):
    import json
    return [x for x in json.loads(p.run("peer", "--json"))["peers"] if x["role"] == role]


def victim(p):
    """The topics of the real gateway's threads, which no other gateway is ever told: from the worker's log."""
    heard = [line for line in p.worker.log().splitlines() if "event=gateway.heard" in line]
    topics = {struct.pack(">Q", int(line.split("gateway=")[-1])) for line in heard}
    assert len(topics) >= 2
    return sorted(topics)


def test_a_gateway_cannot_hear_anothers_answers(parts, liar):
    for topics in (victim(parts), [b"", *(t[:4] for t in victim(parts))]):  # the latter cost it its connection
        for topic in topics:
            liar.sub.send(b"\x01" + topic)
        time.sleep(0.2)
        done = []
        stream(parts, done)
        assert len(done[0].split()) == 60
        assert not liar.sub.poll(300), "somebody else's chunks"


def test_a_gateway_cannot_end_anothers_answers(parts, liar):
    """Not by taking its topic away, not by a cancel to the worker or to the broker, not by credits."""
    topics, rids = victim(parts), []

    def attack():
        for t in topics:
            liar.sub.send(b"\x01" + t)  # libzmq passes on the end of what it has passed on
            liar.sub.send(b"\x00" + t)
        for rid in [os.urandom(16), *rids]:
            liar.upstream([2, CANCEL, rid, 0])
            liar.upstream([2, CREDIT, rid, 0, 1 << 30])
            assert liar.say([2, CANCEL, rid, 0])

    done = []
    before = parts.worker.metrics()["sealway_worker_stops_total"]
    for _ in range(3):
        stream(parts, done, meanwhile=attack)
    assert [len(d.split()) for d in done] == [60, 60, 60]
    assert parts.worker.metrics()["sealway_worker_stops_total"] == before
    assert "ledger ok=true" in parts.run("status")


def test_roles_hold_for_every_message(parts, liar):
    """What a worker says is not taken from a gateway, and the other way round; nor anything of a role that it claims."""
    dropped = lambda: parts.broker.metrics()["sealway_broker_dropped_total"]  # noqa: E731
    rid = os.urandom(16)
    before = dropped()
    assert liar.say([2, POSTED, rid, 1, 1])
    assert liar.say([2, SETTLE, rid, 1, 1, 1, 3, 0, None, None, None, False, 0, 0, False, 0, 0, False])
    assert liar.say([2, 6, None, 1, None, True]) and liar.say([2, 99, rid])
    wait_for("them to be dropped", lambda: dropped() >= before + 3)
    wolf = Liar(parts, "wolf", role=1)  # a worker's key that says it is a gateway
    assert wolf.heard(WELCOME, 300) is None and "peer_refused" in parts.broker.log()
    before = dropped()
    job = [2, JOB, rid, wolf.topic, b"t" * 32, 1, 1, b"k" * 32, "demo", None, False, b"h" * 32, b"h" * 32, 1000, 0, None]
    assert wolf.say(job + [False], b"{}")
    wait_for("its job to be dropped", lambda: dropped() > before)
    wolf.close()


def test_a_stranger_gets_no_word_in(parts):
    parts.run("keys", "new", "--dir", "theirs")
    for name in os.listdir(os.path.join(parts.dir, "theirs")):
        if name.startswith("gateway"):
            os.link(os.path.join(parts.dir, "theirs", name), os.path.join(parts.dir, "keys", "stranger-" + name))
    s = curve_socket(parts, zmq.DEALER, "stranger-gateway", key_of(parts, "broker.pub"))
    plain = zmq.Context.instance().socket(zmq.DEALER)  # no CURVE at all
    plain.linger, plain.immediate = 0, 1
    for x in (s, plain):
        x.connect(f"tcp://127.0.0.1:{parts.bus}")
    time.sleep(0.5)
    for x in (s, plain):
        assert not x.poll(0, zmq.POLLOUT), "let in"
        x.close()


def test_keys_change_while_everything_runs():
    """A new key beside the old one, another gateway on it, then the old one revoked: nobody is refused who asks the
    gateway that stays, and the one that goes is cut at once, without a signal to the broker."""
    with Parts(engine="echo:rate=200") as p:
        p.start_all()
        p.operate()
        p.ready()
        keys = p.run("keys", "new", "gateway", "gateway-2", "--dir", "keys")
        assert "gateway-2.key" in keys and "allowed gateway-2 as a gateway" in keys
        listed = p.run("keys", "list", "--dir", "keys")
        assert listed.count("allowed: gateway") == 2 and listed.count("allowed: worker") == 1
        p.start("gateway", "--curve-key", "keys/gateway-2.key", "--listen", "127.0.0.1:0", name="second")
        info = p.second.ready()
        url = "http://" + info["listen"]
        wait_for("the second gateway", lambda: get(info["admin"], "/ready")[0] == 200)
        assert p.healthy()
        stop, failed, n = threading.Event(), [], [0]

        def ask():
            c = Client(url, p.token)
            while not stop.is_set():
                try:
                    c.post("completions", c.seal({"model": c.model, "prompt": "a b", "max_tokens": 3}))
                    n[0] += 1
                except (Refused, OSError) as r:
                    failed.append(r)

        t = threading.Thread(target=ask)
        t.start()
        try:
            wait_for("some answers", lambda: n[0] > 3)
            r = p.sealway("keys", "revoke", "gateway", "--dir", "keys")
            began = time.monotonic()
            assert r.returncode == 0 and "revoked gateway" in r.stdout
            wait_for("the broker to cut it", lambda: "its key was revoked" in p.broker.log(), 3)
            assert time.monotonic() - began < 1.0 * SLOW
            with pytest.raises(Refused) as refused:
                Client(p.url, p.token).lock()
            assert refused.value.status == 503
            after = n[0]
            wait_for("answers after it", lambda: n[0] > after + 3)
        finally:
            stop.set()
            t.join()
        assert not failed, failed
        again = p.sealway("keys", "revoke", "gateway", "--dir", "keys")
        assert again.returncode == 1 and "nobody named" in again.stderr
        # a list with a mistake in it is no list: the old one holds
        with open(os.path.join(p.dir, "keys", "peers"), "a") as f:
            f.write("gateway not-a-key x\n")
        wait_for("the mistake to be told", lambda: "zauth.line" in p.broker.log())
        Client(url, p.token).lock()
        # and nobody is told that the broker took it
        r = p.sealway("keys", "revoke", "gateway-2", "--dir", "keys")
        assert r.returncode == 1 and "cuts the peer now" not in r.stdout and "the peer stays" in r.stdout
        assert "keys/peers:3: the key is not base64" in r.stderr, r.stderr
        Client(url, p.token).lock()
        r = p.sealway("keys", "new", "gateway", "gateway-3", "--dir", "keys")
        assert r.returncode == 1 and "keys/peers:3: the key is not base64" in r.stderr, r.stderr
        r = p.sealway("keys", "revoke", "not-a-key", "--dir", "keys")  # the line with the mistake itself
        assert r.returncode == 0, r.stderr
        wait_for("the second gateway to be cut", lambda: p.broker.log().count("its key was revoked") == 2, 3)


def test_worker_keys_change_while_everything_runs():
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        p.run("keys", "new", "worker", "worker-2", "--dir", "keys")
        p.start("worker", "--curve-key", "keys/worker-2.key", name="other")
        p.other.ready()
        wait_for("two workers", lambda: len(instances(p, "worker")) == 2)
        wait_for("the gateway to hear both", lambda: all(x["hears"] for x in instances(p, "worker")))
        p.run("keys", "revoke", "worker", "--dir", "keys")
        wait_for("one to be cut", lambda: len(instances(p, "worker")) == 1, 3)
        before = p.worker.metrics()["sealway_worker_first_byte_seconds_count"]
        for _ in range(5):
            assert p.ask().stdout == "a b a\n"
        assert p.worker.metrics()["sealway_worker_first_byte_seconds_count"] == before


def test_a_key_revoked_while_the_list_cannot_be_read():
    """The broker has no descriptor left just then: it cuts the peer once it has."""
    with Parts() as p:
        broker, _ = p.start("broker"), p.start("gateway")
        wait_for("the broker", lambda: os.path.exists(os.path.join(p.dir, "admin.sock")))
        wait_for("the gateway", lambda: instances(p, "gateway"))
        before = resource.prlimit(broker.p.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(broker.p.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        p.run("keys", "revoke", "gateway", "--dir", "keys")
        wait_for("the broker to say so", lambda: "Too many open files" in broker.log(), 3)
        assert "its key was revoked" not in broker.log()
        resource.prlimit(broker.p.pid, resource.RLIMIT_NOFILE, before)
        wait_for("the gateway to be cut", lambda: "its key was revoked" in broker.log(), 5)
