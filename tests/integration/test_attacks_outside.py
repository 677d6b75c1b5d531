# SPDX-License-Identifier: Apache-2.0
"""A hostile client, network or node against a running system: it must stay up, serve others and bill right.

A crash or a sanitizer's word in any process fails the teardown (Up.stop).
"""
import concurrent.futures
import json
import os
import random
import socket
import struct
import time
import urllib.parse
import zlib

import pytest

from cluster import SLOW, children, rss_kb, wait_for
from scripted_node import Request, admin
from sealclient import Client, Cut, Refused, text_of

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture
def node(system):
    system[1].script = Request.honest
    assert system[1].register() == 200
    yield system[1]
    system[1].script = Request.honest
    wait_for("nothing to stay reserved", lambda: not reserved(system[0]), 30)
    assert system[1].register() == 200
    assert ask(Client(system[0].url, system[0].token, "scripted")) == "one two"  # others are served


@pytest.fixture
def client(system):
    return Client(system[0].url, system[0].token, "scripted")


def reserved(up):
    return sum(s["reserved"] for s in admin(up, "stack.list")["stacks"] if s["model"] == "scripted")


def ask(client, stream=True):
    e = client.seal({"model": "scripted", "prompt": "one two", "stream": stream}, stream=stream)
    return text_of(client.post_stream("completions", e) if stream else [client.post("completions", e)])


def connect(up):
    u = urllib.parse.urlsplit(up.url)
    return socket.create_connection((u.hostname, u.port), timeout=10)


def post(client, envelope, extra=""):
    body = json.dumps(envelope.body if hasattr(envelope, "body") else envelope).encode()
    return (f"POST /v1/confidential/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {client.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n").encode() + body


def read_all(s):
    out = b""
    try:
        while (b := s.recv(65536)):
            out += b
    except (ConnectionError, TimeoutError):
        pass
    return out


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    def text(t):
        assert len(t) < 127 + 128
        return (bytes([len(t)]) if len(t) < 127 else bytes([127, len(t) - 127])) + t.encode()
    return b"\0" + text(name) + text(value)


# --- nodes ---

GZIP = zlib.compressobj(9, zlib.DEFLATED, 31)
BOMB = GZIP.compress(b":" * (1 << 26)) + GZIP.flush()


def bomb(r):
    r.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
    r.chunked = True
    r.data(BOMB)
    r.end()


def endless_line(r):
    r.head()
    for _ in range(100):
        r.data("data: " + "x" * 65536)


def interim_for_ever(r):
    for _ in range(20000):
        r.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


def switching(r):
    r.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\ndata: {}\n\n")
    return False


def endless_headers(r):
    r.send(b"HTTP/1.1 200 OK\r\n")
    for i in range(20000):
        r.send(b"X-%d: %s\r\n" % (i, b"v" * 100))


def injecting(r):
    r.head()
    r.event(r.object("a") | {"nonce": "AAAA\r\n\r\nevent: error\r\ndata: {}"})
    r.end()


def answers_before_asked(r):
    r.honest()
    r.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: 1\n\n")


@pytest.mark.parametrize("script", [bomb, endless_line, interim_for_ever, switching, endless_headers, injecting],
                         ids=lambda f: f.__name__)
def test_node(system, node, client, script):
    node.script = script
    began = time.time()
    with pytest.raises((Refused, Cut)) as e:
        ask(client)
    if e.type is Refused:
        assert e.value.error["code"] in ("INTERNAL_ERROR", "SERVICE_UNAVAILABLE")
    assert time.time() - began < 20


def test_answer_to_nobody_is_not_the_next_ones(system, node, client):
    node.script = answers_before_asked
    for _ in range(3):
        try:
            assert ask(client) == "one two"
        except (Refused, Cut):
            pass  # no answer is fine, a foreign one is not


# --- clients ---

def test_clients_that_vanish(system, node, client):
    """At every moment of a request: nothing stays reserved, nothing is left behind."""
    gate = random.Random(7)

    def slow(r):
        r.head()
        for i in range(6):
            r.event(r.object(f"w{i}"))
            time.sleep(0.01)
        r.event(r.object("", True, "stop", usage=(2, 6)))
        r.end()

    node.script = slow

    def one(i):
        raw = post(client, client.seal({"model": "scripted", "prompt": "one two", "stream": True}, stream=True))
        with connect(system[0]) as s:
            if i % 4 == 0:
                s.sendall(raw[:gate.randrange(len(raw))])
            else:
                s.sendall(raw)
            time.sleep(gate.random() * 0.15)
            if i % 3 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif i % 3 == 1:
                s.shutdown(socket.SHUT_WR)
                time.sleep(0.02)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(36)))


SMUGGLING = [
    "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding : chunked\r\n", "X: a\r\n b\r\n", "Host: b\r\n", "X: a\nTransfer-Encoding: chunked\r\n",
    "Content-Length: +5\r\n", "Content-Length: 5,5\r\n", "Content-Length: 0x5\r\n", "Transfer-Encoding: \x0bchunked\r\n",
]


@pytest.mark.parametrize("fields", SMUGGLING)
def test_two_readings_of_one_request(system, fields):
    with connect(system[0]) as s:
        s.sendall(b"POST /v1/models HTTP/1.1\r\nHost: a\r\n" + fields.encode() +
                  b"\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        out = read_all(s)
    assert b"HTTP/1.1 200" not in out and out.count(b"HTTP/1.1 ") <= 1


def test_nothing_of_a_head_splits_an_answer(system):
    evil = "a\r\nSet-Cookie: x=1"
    head = b"\x82\x86" + literal(":path", "/health") + literal(":authority", "a")
    for name in ("x-request-id", "origin", "access-control-request-headers"):
        with connect(system[0]) as s:
            s.sendall(PREFACE + frame(4, 0, 0) + frame(1, 5, 1, head + literal(name, evil)))
            s.settimeout(1)
            assert b"Set-Cookie" not in read_all(s)


def test_fields_from_one_byte_each(system):
    """A header block of which every byte is a field: memory must not grow with it."""
    (pid,) = [p for p in children(system[0].p.pid) if os.readlink(f"/proc/{p}/exe").endswith("/sealway-gateway")]
    head = b"\x83\x86" + literal(":path", "/v1/nodes") + literal(":authority", "a") + b"\x40\x01x\x01y"

    before = rss_kb(pid)
    for _ in range(4):
        with connect(system[0]) as s:
            try:
                s.sendall(PREFACE + frame(4, 0, 0))
                for i in range(1, 80, 2):
                    s.sendall(frame(1, 4, i, head + b"\xbe" * 16000))
            except ConnectionError:
                pass
            read_all(s)
    print(f"  the gateway grew by {(rss_kb(pid) - before) / 1024:.0f} MB")
    assert rss_kb(pid) - before < 60000 * SLOW


def test_random_bytes(system):
    rng = random.Random(3)
    kinds = [(b"POST /v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n", b"\r\n"), (PREFACE, b"")]
    for i in range(150):
        start, sep = kinds[i % 2]
        with connect(system[0]) as s:
            s.settimeout(0.05)
            try:
                s.sendall(start)
                for _ in range(rng.randrange(1, 12)):
                    if i % 2:
                        n = rng.choice([0, 1, 4, 5, 6, 8, 40])
                        s.sendall(frame(rng.randrange(11), rng.choice([0, 1, 4, 5, 8, 9, 0x20, 0x2d, 255]),
                                        rng.choice([0, 1, 1, 3, 2, 0x7fffffff]),
                                        rng.choice([os.urandom(n), b"\x83\x86\x84\x01\x01a"[:n] if n > 5 else b"\0" * n])))
                    else:
                        s.sendall(rng.choice([b"Content-Length: 7" + sep, b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":",
                                              os.urandom(9), b"\r\n\r\n", b"{\"data\":{}}", b"Expect: 100-continue\r\n"]))
                s.recv(4096)
            except (ConnectionError, TimeoutError):
                pass
    assert Client(system[0].url, system[0].token).request("GET", "/health", auth=False)[0] == 200
