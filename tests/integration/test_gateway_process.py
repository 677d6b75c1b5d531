# SPDX-License-Identifier: Apache-2.0
"""The gateway as a process of its own: start, readiness, signals, bad configurations."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess

import pytest

from cluster import SLOW, Up, binary, run_quiet, wait_for
from sealclient import Client, text_of


class Gateway:
    """One sealway-gateway, by default without a broker that answers."""

    def __init__(self, top, *flags):
        self.ready_file = os.path.join(top, "ready")
        self.err_path = os.path.join(top, "err")
        self.err = open(self.err_path, "wb")
        self.p = subprocess.Popen(
            [binary("gateway"), "--listen", "127.0.0.1:0", "--brokers", f"ipc://{top}/bus", "--ready-file",
             self.ready_file, *flags], stderr=self.err, stdin=subprocess.DEVNULL)

    def ready(self):
        wait_for("the gateway", lambda: os.path.exists(self.ready_file) or self.p.poll() is not None)
        assert self.p.poll() is None, self.log()
        return json.load(open(self.ready_file))

    def log(self):
        return open(self.err_path, errors="replace").read()

    def ended(self, seconds=10):
        code = self.p.wait(seconds * SLOW)
        log = self.log()
        assert "Sanitizer" not in log and "runtime error" not in log, log
        return code


@pytest.fixture
def gateway(tmp_path):
    started = []

    def start(*flags):
        started.append(Gateway(str(tmp_path), *flags))
        return started[-1]

    yield start
    for g in started:
        if g.p.poll() is None:
            g.p.kill()
            g.p.wait()
        g.err.close()


def get(address, path, context=None):
    kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
    c = kind(address, timeout=10, **({"context": context} if context else {}))
    c.request("GET", path)
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, body


def test_without_a_broker(gateway):
    g = gateway()
    info = g.ready()
    assert info["pid"] == g.p.pid
    assert info["listen"] == f"127.0.0.1:{info['port']}" and info["port"] > 0
    assert get(info["listen"], "/health")[0] == 503
    assert get(info["admin"], "/health")[0] == 200
    assert get(info["admin"], "/ready")[0] == 503
    status, text = get(info["admin"], "/metrics")
    assert status == 200
    assert b'sealway_gateway_requests_total{endpoint="health",outcome="failed"} 1\n' in text
    assert b"sealway_gateway_broker_links 0\n" in text
    assert os.stat(g.ready_file).st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_ends_cleanly(gateway, number, threads):
    g = gateway("--threads", threads)
    info = g.ready()
    c = http.client.HTTPConnection(info["listen"], timeout=10)
    c.request("GET", "/health")
    assert c.getresponse().read()
    g.p.send_signal(number)  # with an idle keep-alive connection open
    assert g.ended() == 0
    c.close()


def test_threads_share_the_port(gateway):
    g = gateway("--threads", "4")
    info = g.ready()
    for _ in range(40):
        assert get(info["listen"], "/health")[0] == 503
    with open(f"/proc/{g.p.pid}/net/tcp") as f:
        local = [line.split()[1] for line in f if line.split()[3] == "0A"]
    assert local.count(f"0100007F:{info['port']:04X}") == 4


def test_a_second_signal_cuts(gateway):
    g = gateway("--drain-s", "600", "--head-ms", "600000")
    info = g.ready()
    s = socket.create_connection(("127.0.0.1", info["port"]))
    s.sendall(b"POST /v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    wait_for("the log", lambda: "gateway.listening" in g.log())
    g.p.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: "loop.draining" in g.log())
    g.p.send_signal(signal.SIGTERM)
    assert g.ended() == 1
    s.close()


@pytest.mark.parametrize("flags, code", [
    (["--brokers", ""], 2),
    (["--brokers", "http://a"], 2),
    (["--tls-cert", "/nowhere"], 2),
    (["--curve-key", "/nowhere"], 2),
    (["--max-body", "200M"], 2),
    (["--keepalive-ms", "x"], 2),
    (["--no-such-thing", "1"], 2),
    (["--log-level", "loud"], 2),
    (["--brokers", "tcp://127.0.0.1:1"], 2),  # tcp without CURVE
    (["--tls-cert", "/nowhere", "--tls-key", "/nowhere"], 1),
    (["--curve-key", "/nowhere", "--broker-key", "/nowhere"], 1),
    (["--listen", "256.0.0.1:1"], 1),
    (["--brokers", "ipc:///a ipc:///" + 120 * "a"], 2),
    (["--check-config"], 0),
    (["--help"], 0),
])
def test_what_it_does_not_start_with(gateway, flags, code):
    g = gateway(*flags)
    assert g.ended() == code
    assert not os.path.exists(g.ready_file)
    if code:
        assert g.log()  # says why


def test_a_port_that_is_taken(gateway):
    s = socket.create_server(("127.0.0.1", 0))
    g = gateway("--listen", f"127.0.0.1:{s.getsockname()[1]}", "--threads", "1")
    assert g.ended() == 1
    s.close()


def test_tls(gateway, tmp_path):
    key, cert = str(tmp_path / "k.pem"), str(tmp_path / "c.pem")
    run_quiet("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
              key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    g = gateway("--tls-cert", cert, "--tls-key", key)
    info = g.ready()
    context = ssl.create_default_context(cafile=cert)
    assert get(info["listen"], "/health", context)[0] == 503
    g.p.send_signal(signal.SIGTERM)
    assert g.ended() == 0


def test_a_stream_outlives_sigterm():
    with Up("--engine", "echo:rate=20", "--gateways", "1") as u:
        client = Client(u.url, u.token, u.model)
        e = client.seal({"model": u.model, "prompt": "a b c", "max_tokens": 30, "stream": True}, stream=True)
        seen = []

        def on_event(*event):
            if not seen:
                os.kill(u.pids["gateway"][0], signal.SIGTERM)
            seen.append(event)

        assert text_of(client.post_stream("completions", e, on_event)).split() == ["a", "b", "c"] * 10
