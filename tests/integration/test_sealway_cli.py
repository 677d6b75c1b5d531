# SPDX-License-Identifier: Apache-2.0
"""The sealway command as a person uses it, and what it says when somebody in the middle plays tricks."""
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest
from cluster import SEALWAY, SLOW, Up, run_quiet


def cli(up, *args, **kw):
    pins = {"SEALWAY_KNOWN_NODES": os.path.join(up.dir, "known_nodes")}
    return up.cli(*args, env={**pins, **kw.pop("env", {})}, **kw)


def test_complete(up):
    r = cli(up, "complete", "--max-tokens", "5", "hello big world")
    assert (r.returncode, r.stdout) == (0, b"hello big world hello big\n")
    assert b"3 + 5 units, receipt verified" in r.stderr
    r = cli(up, "complete", "--stream", "--max-tokens", "5", "--quiet", "-", input="Grüße, 世界".encode())
    assert (r.returncode, r.stdout.decode(), r.stderr) == (0, "Grüße, 世界 Grüße, 世界 Grüße,\n", b"")


def test_chat_in_both_forms(up):
    for form in ([], ["--stream"]):
        r = cli(up, "chat", *form, "--system", "be brief", "--max-tokens", "2", "what is it")
        assert (r.returncode, r.stdout) == (0, b"what is\n")


def test_embed(up):
    a, b = (json.loads(cli(up, "embed", "same text").stdout) for _ in range(2))
    assert a == b and len(a) > 8 and all(isinstance(x, (int, float)) for x in a)


def test_image(up, tmp_path):
    out = tmp_path / "x.png"
    assert cli(up, "image", "a lighthouse", "--output", str(out)).returncode == 0
    assert out.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert cli(up, "image", "a lighthouse").stdout == out.read_bytes()
    assert cli(up, "image", "--size", "0x5", "x").returncode == 2


def test_json_prints_the_objects(up):
    r = cli(up, "complete", "--stream", "--json", "--max-tokens", "2", "a b")
    objects = [json.loads(line) for line in r.stdout.splitlines()]
    assert [o["choices"][0]["text"] for o in objects] == ["a", " b", ""]
    assert objects[-1]["usage"]["total_tokens"] == 4


def test_words_as_they_are_produced():
    with Up("--engine", "echo:rate=5") as up:
        env = dict(os.environ, SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top)
        p = subprocess.Popen([SEALWAY, "complete", "--stream", "--max-tokens", "8", "a b"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=env)
        first = p.stdout.read(1)
        began = time.time()
        rest = p.stdout.read()
        assert p.wait() == 0 and first + rest == b"a b a b a b a b\n"
        assert 0.7 < time.time() - began < 10 * SLOW


def test_show_wire_has_no_plaintext(up):
    r = cli(up, "complete", "--show-wire", "--max-tokens", "3", "xylophone marmalade")
    assert r.returncode == 0 and b"xylophone" in r.stdout
    assert b"xylophone" not in r.stderr and up.token.encode() not in r.stderr
    assert b'"ciphertext"' in r.stderr and b"what the gateway saw" in r.stderr


def test_receipt(up, tmp_path):
    f = tmp_path / "r.json"
    assert cli(up, "complete", "--stream", "--max-tokens", "2", "--receipt", str(f), "a b").returncode == 0
    assert f.stat().st_mode & 0o077 == 0
    good = json.loads(f.read_text())
    r = cli(up, "receipt", "verify", str(f), "--node-key", good["node_signing_key"])
    assert r.returncode == 0 and b"2 + 2 units" in r.stdout
    assert len(good["response_hashes"]) == 3
    for change in ({"model": "other"}, {"response_hashes": good["response_hashes"][::-1]}, {"receipt": "AA=="},
                   {"node_signing_key": good["plaintext_body_hash"]}):
        f.write_text(json.dumps({**good, **change}))
        assert cli(up, "receipt", "verify", str(f)).returncode == 1
    f.write_text(json.dumps(good))
    assert cli(up, "receipt", "verify", str(f), "--node-key", good["plaintext_body_hash"]).returncode == 1
    assert cli(up, "receipt", "verify", str(tmp_path / "none")).returncode == 1
    assert cli(up, "receipt", "burn", str(f)).returncode == 2


def test_exit_statuses(up):
    assert cli(up, "complete").returncode == 2
    assert cli(up, "complete", "--nonsense", "x").returncode == 2
    assert cli(up, "complete", "").returncode == 2
    assert cli(up, "nonsense").returncode == 2
    assert cli(up, "complete", "--url", "gopher://x", "x").returncode == 2
    r = cli(up, "complete", "--model", "no-such-model", "x")
    assert r.returncode == 1 and b"503 SERVICE_UNAVAILABLE" in r.stderr
    r = cli(up, "complete", "--token", "sk-sealway-wrong", "--model", up.model, "x")
    assert r.returncode == 1 and b"401 AUTH_ERROR" in r.stderr
    assert b"sk-sealway-wrong" not in r.stderr
    assert cli(up, "complete", "--url", "http://127.0.0.1:1", "--model", "m", "x").returncode == 1


@pytest.mark.parametrize("command", ["complete", "chat", "embed", "image"])
def test_help_says_whom_one_trusts(up, command):
    r = cli(up, command, "--help")
    assert r.returncode == 0 and b"trusts the operator" in r.stdout and r.stderr == b""


def test_pins(up, tmp_path):
    pins = tmp_path / "a" / "known_nodes"
    r = cli(up, "complete", "--known-nodes", str(pins), "x")
    assert r.returncode == 0 and b"now pinned" in r.stderr
    origin, node, key = pins.read_text().splitlines()[-1].split()
    assert (origin, node) == (up.url, "1")
    assert b"pinned" not in cli(up, "complete", "--known-nodes", str(pins), "x").stderr
    assert cli(up, "complete", "--node-key", key, "x").returncode == 0
    other = "A" * 43 + "="
    assert cli(up, "complete", "--node-key", other, "x").returncode == 1
    pins.write_text(f"{origin} {node} {other}\n")
    r = cli(up, "complete", "--known-nodes", str(pins), "x")
    assert r.returncode == 1 and r.stdout == b"" and b"not the one pinned" in r.stderr


class Middle(http.server.ThreadingHTTPServer):
    """A gateway in front of the gateway that does as `trick` says with the answer's events."""

    daemon_threads = True

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), MiddleHandler)
        self.back = url.removeprefix("http://")
        self.trick, self.lock_trick = lambda events: events, lambda answer: answer
        self.cut = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class MiddleHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        back = http.client.HTTPConnection(self.server.back)
        back.request("POST", self.path, body, {k: self.headers[k] for k in ("Authorization", "Content-Type")})
        r = back.getresponse()
        data = r.read()
        if self.path == "/v1/nodes/lock":
            data = json.dumps(self.server.lock_trick(json.loads(data))).encode()
        elif r.status == 200:
            events = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: ")]
            data = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in self.server.trick(events))
        self.send_response(r.status)
        self.send_header("Content-Type", r.headers["Content-Type"])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if not self.server.cut or self.path == "/v1/nodes/lock":
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


def changed(event, **members):
    return {**event, **members}


TRICKS = {
    "left out": (lambda e: e[:1] + e[2:], b"a chunk is missing"),
    "first left out": (lambda e: e[1:], b"a chunk is missing"),
    "twice": (lambda e: e[:2] + e[1:], b"a chunk came twice"),
    "swapped": (lambda e: [e[0], e[2], e[1]] + e[3:], b"a chunk is missing"),
    "last left out": (lambda e: e[:-1], b"without its final chunk"),
    "after the end": (lambda e: e + e[-1:], b"a chunk came after the final one"),
    "nothing": (lambda e: [], b"the answer is empty"),
    "usage raised": (lambda e: e[:-1] + [changed(e[-1], usage={**e[-1]["usage"], "completion_tokens": 99})],
                     b"not the usage"),
    "no receipt": (lambda e: e[:-1] + [{k: v for k, v in e[-1].items() if k != "receipt"}], b"no receipt"),
    "no signature": (lambda e: [{k: v for k, v in e[0].items() if k != "signature"}] + e[1:], b"not signed"),
    "signature of another": (lambda e: [changed(e[0], signature=e[1]["signature"])] + e[1:], b"signature"),
    "hash of another": (lambda e: [changed(e[0], response_hash=e[1]["response_hash"])] + e[1:], b"response_hash"),
    "ciphertext of another": (lambda e: [changed(e[0], ciphertext=e[1]["ciphertext"])] + e[1:], b"does not open"),
}


@pytest.fixture(scope="module")
def middle(up):
    m = Middle(up.url)
    yield m
    m.shutdown()
    m.server_close()


def through(up, middle, tmp_path, *args):
    return cli(up, "complete", "--stream", "--url", middle.url, "--model", up.model, "--max-tokens", "4",
               "--known-nodes", str(tmp_path / "pins"), *args, "a b c d")


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_in_the_middle(up, middle, tmp_path, name):
    middle.trick, said = TRICKS[name]
    middle.lock_trick, middle.cut = (lambda a: a), False
    r = through(up, middle, tmp_path)
    assert r.returncode == 1 and said in r.stderr, r.stderr
    middle.trick = lambda e: e
    r = through(up, middle, tmp_path)
    assert (r.returncode, r.stdout) == (0, b"a b c d\n"), r.stderr


def test_cut_behind_the_last_event(up, middle, tmp_path):
    middle.trick, middle.lock_trick, middle.cut = (lambda e: e), (lambda a: a), True
    r = through(up, middle, tmp_path)
    middle.cut = False
    assert r.returncode == 1 and b"cut off" in r.stderr


def test_a_key_of_the_middle(up, middle, tmp_path):
    """The gateway offers a key of its own, with and without taking the statement away."""
    mine = "GcLFiAH4Xb4bNIFrfzeTI7oKp/UMm4I6CeHNAs1MWiM="
    middle.trick, middle.cut = (lambda e: e), False
    middle.lock_trick = lambda a: changed(a, public_key=mine)
    r = through(up, middle, tmp_path)
    assert r.returncode == 1 and b"not the one in the node's key statement" in r.stderr
    bare = lambda a: {**changed(a, public_key=mine), "key_statement": None, "key_signature": None}
    middle.lock_trick = bare
    r = through(up, middle, tmp_path)
    assert r.returncode == 1 and b"no key statement" in r.stderr
    middle.lock_trick = lambda a: a
    assert through(up, middle, tmp_path).returncode == 0  # pinned now
    middle.lock_trick = bare
    r = through(up, middle, tmp_path, "--allow-foreign")
    middle.lock_trick = lambda a: a
    assert r.returncode == 1 and b"signed before" in r.stderr


def test_the_name_in_a_certificate_cannot_write_on_the_terminal(up, tmp_path):
    key, cert = str(tmp_path / "key"), str(tmp_path / "cert")
    run_quiet("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
              "-out", cert, "-days", "2", "-subj", "/CN=\x1b]0;title\x07name")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def serve(listener):
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as c:
                c.recv(1)
        except OSError:
            pass  # the client does not like the name

    with socket.create_server(("127.0.0.1", 0)) as listener:
        t = threading.Thread(target=serve, args=(listener,), daemon=True)
        t.start()
        r = cli(up, "complete", "--model", "demo", "--url", f"https://127.0.0.1:{listener.getsockname()[1]}", "--ca-file", cert, "x")
        t.join(10)
    assert r.returncode == 1 and b"'?]0;title?name'" in r.stderr and b"\x1b" not in r.stderr, r.stderr
