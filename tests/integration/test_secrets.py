# SPDX-License-Identifier: Apache-2.0
"""Nothing that the processes write holds what nobody may read: prompts, completions, tokens, keys, hashes of
plaintexts, receipts, raw request ids, or text that a client chose."""
import base64
import glob
import json
import os
import random
import socket
import sqlite3
import string
import threading

import pytest
from cluster import Up, children, wait_for
from parts import get, parse_metrics
from scripted_node import Request, ScriptedNode
from sealclient import Client, Cut, Refused, b64, text_of, unb64

KINDS = {
    "completions": lambda word: {"prompt": f"{word} and {word}", "max_tokens": 6},
    "chat/completions": lambda word: {"messages": [{"role": "system", "content": word + "sys"},
                                                   {"role": "user", "content": f"{word} hello"}], "max_tokens": 5},
    "embeddings": lambda word: {"input": word},
    "images/generations": lambda word: {"prompt": word, "size": "16x16", "n": 1},
}


class Canaries:
    """Byte strings to look for, each with what it is."""

    def __init__(self):
        self.needles = {}

    def text(self, what):
        word = "canary" + "".join(random.choices(string.ascii_lowercase, k=18))
        self.needles[word.encode()] = what
        return word

    def secret(self, raw, what):
        """Raw bytes, and every way in which programs write them out."""
        url = base64.urlsafe_b64encode(raw)
        for form in (raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw).rstrip(b"="),
                     url.rstrip(b"=")):
            self.needles[form] = what

    def find(self, data, where, but=()):
        return [f"{what} in {where}" for needle, what in self.needles.items() if what not in but and needle in data]


def files_below(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def every_column(path):
    """Every value of every row of a database, as bytes."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.text_factory = bytes
    out = {}
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        table = table.decode()
        rows = db.execute(f'SELECT * FROM "{table}"').fetchall()
        values = [v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row if v is not None]
        out[table] = b"\0".join(values)
    db.close()
    return out


def admin_pages(up):
    for path in sorted(glob.glob(os.path.join(up.dir, "run", "*.ready"))):
        yield os.path.basename(path), get(json.load(open(path))["admin"], "/metrics")[2]


class Scene:
    """A system after a great many requests, good ones and bad ones; all that must appear nowhere."""

    def __init__(self, up):
        self.up, self.c = up, Canaries()
        self.client = Client(up.url, up.token)
        self.c.needles[up.token.encode()] = "the demo token"
        self.c.needles[up.token.removeprefix("sk-sealway-").encode()] = "the demo token"
        for path in glob.glob(os.path.join(up.dir, "keys", "*.key")):
            self.c.secret(unb64(open(path).read().strip(), 32), "a secret key")

    def headers(self):
        return {"X-Request-Id": self.c.text("a client's X-Request-Id"), "User-Agent": self.c.text("a User-Agent"),
                "Cookie": self.c.text("a cookie")}

    def note(self, envelope, objects):
        self.c.secret(envelope.hash, "plaintext_body_hash")
        self.c.secret(envelope.key, "a request's key")
        for o in objects:
            self.c.secret(unb64(o["response_hash"], 32), "response_hash")
            self.c.needles[o["ciphertext"][:64].encode()] = "a ciphertext"
            if "receipt" in o:
                self.c.secret(unb64(o["receipt"], 183), "a receipt")
                self.c.secret(unb64(o["receipt"], 183)[123:155], "a transcript")
        self.c.needles[envelope.body["ciphertext"][:64].encode()] = "a ciphertext"

    def good(self, kind, stream):
        c, word = self.client, self.c.text("a prompt")
        plain = {"model": c.model, **KINDS[kind](word), **({"stream": True} if stream else {})}
        e = c.seal(plain, stream=stream)
        path = "/v1/confidential/" + kind
        if stream:
            objects = [json.loads(d) for _, d in c.stream_raw(path, e.body, headers=self.headers())]
        else:
            objects = [c.json("POST", path, e.body, headers=self.headers())]
        self.note(e, objects)
        opened = e.open(objects, kind)
        if kind.endswith("completions"):
            assert word in text_of(opened)

    def refused(self, expected, method, path, body=None, headers=None, auth=True):
        status = self.client.request(method, path, body, headers={**self.headers(), **(headers or {})}, auth=auth)[0]
        assert status == expected, (status, expected, path)

    def bad(self):
        """A refusal of every kind, with something to remember in each place that a client can fill."""
        t, post = self.c.text, "/v1/confidential/completions"
        sealed = lambda **plain: self.client.seal({"model": "demo", "prompt": t("a prompt"), **plain}).body
        self.refused(401, "POST", post, sealed(), {"Authorization": "Bearer sk-sealway-" + t("a wrong token")})
        self.refused(401, "POST", post, sealed(), {"Authorization": "Basic " + t("a wrong token")})
        self.refused(401, "GET", "/v1/models", None, {"Authorization": "Bearer " + t("a wrong token") * 9})
        self.refused(404, "GET", "/v1/" + t("a path"))
        self.refused(404, "GET", "/v1/nodes/" + t("a path") + "/attestation")
        self.refused(404, "GET", "/v1/models/" + t("a model's name") + "%2f" + t("a model's name"))
        self.refused(404, "GET", "/v1/models/%0d%0a" + t("a model's name") + "%20" + t("a model's name") + "%ff")
        self.refused(405, "POST", "/v1/models/" + t("a model's name"))
        self.refused(405, "DELETE", post + "?q=" + t("a query"))
        self.refused(415, "POST", post, b"{}", {"Content-Type": "text/" + t("a content type")})
        self.refused(400, "POST", post, b'{"' + t("a member's name").encode() + b'": tru')
        self.refused(400, "POST", post, {**sealed(), "nonce": t("a member's value")})
        self.refused(400, "POST", post, {**sealed(), "model_name": 7, t("a member's name"): 1})
        self.refused(404, "POST", post, {**sealed(), "model_name": t("a model's name")})
        self.refused(404, "POST", post, {**sealed(), "stack_small_id": 2**53 - 7})
        self.refused(400, "POST", post, sealed(model=t("a sealed model's name")))
        self.refused(400, "POST", post, sealed(stream=True))
        self.refused(400, "POST", post, sealed(max_tokens=t("a parameter")))
        self.refused(425, "POST", post, {**sealed(), "node_dh_public_key": b64(bytes(range(32)))})
        damaged = sealed()
        damaged["plaintext_body_hash"] = b64(os.urandom(32))
        self.c.secret(unb64(damaged["plaintext_body_hash"]), "a wrong plaintext_body_hash")
        self.refused(400, "POST", post, damaged)
        lock = {"max_num_tokens": None, "timeout": None}
        status = self.client.request("POST", "/v1/nodes/lock", {"model": t("a model's name"), **lock})[0]
        assert status in (404, 503)
        self.refused(400, "POST", "/v1/nodes/lock", {"model": "demo", "max_num_tokens": t("a number")})
        self.refused(400, "POST", "/v1/nodes", {"data": t("a registration"), "signature": t("a signature")}, auth=False)
        with socket.create_connection((self.client.url.hostname, self.client.url.port), timeout=20) as s:
            s.sendall(f"{t('a method')} / HTTP/1.1\r\n{t('a header')}: {t('a header')}\r\n broken\r\n\r\n".encode())
            while s.recv(4096):
                pass

    def gone(self):
        """Clients that leave in the middle of a stream."""
        e = self.client.seal({"model": "demo", "prompt": self.c.text("a prompt"), "max_tokens": 4000, "stream": True},
                             stream=True)
        self.note(e, [])
        c = self.client.connect()
        c.request("POST", "/v1/confidential/completions", json.dumps(e.body).encode(),
                  {"Authorization": f"Bearer {self.up.token}", "Content-Type": "application/json", **self.headers()})
        r = c.getresponse()
        assert r.status == 200 and r.read(100)
        r.close()
        c.close()

    def by_script(self, node):
        """Answers of a node of all kinds, also ones full of text that belongs nowhere; the raw request ids."""
        c, t = Client(self.up.url, self.up.token, model=node.model), self.c.text

        def told(r):
            r.whole(500, {"error": {"code": t("a node's text"), "message": r.plain["prompt"]}})

        def reason(r):
            r.whole(425, {"error": {"code": "X", "reason": t("a node's text")}})

        def broken(r):
            r.head()
            r.event(r.object(t("a completion")))
            r.data(": " + t("a comment") + "\n\nevent: " + t("an event") + "\ndata: " + t("an answer") + "\n\n")
            return False

        def extra(r):
            r.whole(200, {**r.object(t("a completion"), True, "stop", usage=(2, 2)), "leak": t("a member")})

        def liar(r):
            r.whole(200, r.object(t("a completion"), True, "stop", usage=(2, 2), receipt={"prompt": 2**40}))

        def head(r):
            r.head(200, t("a content type"), 5, [f"X-{t('a header')}: {t('a header')}"])
            r.send(b"hello")

        for script in (None, None, told, reason, broken, extra, liar, head):
            node.script = script or Request.honest
            e = c.seal({"model": c.model, "prompt": t("a prompt") + " x", "max_tokens": 4,
                        "stream": script is broken}, stream=script is broken)
            self.note(e, [])
            try:
                if script is broken:
                    c.stream_raw("/v1/confidential/completions", e.body, headers=self.headers())
                else:
                    self.note(e, [c.json("POST", "/v1/confidential/completions", e.body, headers=self.headers())])
            except (Refused, Cut):
                assert script
        assert len(node.requests) >= 8 and not node.errors, node.errors
        for r in node.requests:
            assert len(r.rid) == 32
            self.c.secret(bytes.fromhex(r.rid), "a raw request id")

    def settled(self):
        def quiet():
            pages = dict(admin_pages(self.up))
            m = parse_metrics(pages["broker-1.ready"])
            return m["sealway_broker_inflight"] == m["sealway_broker_store_backlog"] == 0
        wait_for("everything to be settled", quiet, 40)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("secrets") / "d")
    with Up("--nodes", "1", dir=folder, env={"SEALWAY_LOG_LEVEL": "debug"}) as up:
        s = Scene(up)
        second = up.cli("token", "create", "demo", "spare", "--dir", up.dir).stdout.decode()
        made = [w for w in second.split() if w.startswith("sk-sealway-")]
        assert made, second
        s.c.needles[made[0].encode()] = "a second token"
        jobs = [(s.good, (kind, stream)) for kind in KINDS
                for stream in ((None, True) if kind.endswith("completions") else (None,))] * 4
        jobs += [(s.bad, ())] * 2 + [(s.gone, ())] * 3
        failed = []

        def work(part):
            for job, args in part:
                try:
                    job(*args)
                except Exception as e:  # noqa: BLE001 - shown below
                    failed.append(f"{job.__name__}{args}: {e!r}")

        threads = [threading.Thread(target=work, args=(jobs[i::4],)) for i in range(4)]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
        assert not failed, "\n".join(failed)
        with ScriptedNode(up) as node:
            s.by_script(node)
            s.settled()
        s.pages = dict(admin_pages(up))
        s.processes = {pid: {f: open(f"/proc/{pid}/{f}", "rb").read() for f in ("cmdline", "environ", "comm")}
                       for pid in children(up.p.pid)}
        s.database = next(p for p in files_below(up.dir) if p.endswith("ledger.db"))
        s.columns = every_column(s.database)
        s.files = {p: open(p, "rb").read() for p in files_below(up.dir)}
        s.ready_file, s.log = open(up.ready_file, "rb").read(), open(up.log_path, "rb").read()
    s.files_after = {p: open(p, "rb").read() for p in files_below(folder)}
    yield s


def is_key(path):
    return os.path.basename(os.path.dirname(path)) == "keys"


def test_the_search_finds_what_is_there(scene):
    """The needles are real: they are found where they belong, and there are many."""
    assert len(scene.c.needles) > 500
    keys = b"".join(data for p, data in scene.files.items() if p.endswith(".key"))
    assert any("a secret key" in f for f in scene.c.find(keys, "keys"))
    assert scene.up.token.encode() in scene.ready_file and scene.up.token.encode() in scene.log
    logs = b"".join(data for p, data in scene.files.items() if p.endswith(".log"))
    assert b"level=debug" in logs and logs.count(b"request=") > 50  # requests are logged, by their public names
    assert len(scene.columns["settlements"]) > 1000 and scene.columns["api_tokens"]


def test_files_while_running(scene):
    found = []
    for path, data in scene.files.items():
        # the ids of requests in flight have to outlive a crash; SQLite keeps what it logged until it reuses it
        but = {"a secret key"} if is_key(path) else {"a raw request id"} if path.endswith("ledger.db-wal") else ()
        found += scene.c.find(data, path, but)
    assert not found, "\n".join(found)


def test_files_after_the_end(scene):
    assert not [p for p in scene.files_after if "/run/" in p]
    found = []
    for path, data in scene.files_after.items():
        found += scene.c.find(data, path, {"a secret key"} if is_key(path) else ())
    assert not found, "\n".join(found)


def test_columns_of_the_database(scene):
    found = []
    for table, data in scene.columns.items():
        found += scene.c.find(data, f"table {table}")
    assert not found, "\n".join(found)


def test_request_ids_are_not_written_out_in_the_database(scene):
    """As text they are nowhere, not even in pages that SQLite has given up."""
    hexes = [n for n, what in scene.c.needles.items() if what == "a raw request id" and len(n) > 16]
    assert len(hexes) >= 8
    for path, data in scene.files.items():
        assert not [n for n in hexes if n in data], path


def test_metrics(scene):
    found = []
    assert len(scene.pages) == 4
    for name, text in scene.pages.items():
        found += scene.c.find(text.encode(), name)
    assert not found, "\n".join(found)


def test_arguments_and_environment(scene):
    assert len(scene.processes) >= 4
    found = []
    for pid, parts in scene.processes.items():
        for f, data in parts.items():
            found += scene.c.find(data, f"{f} of {parts['comm']}")
    assert not found, "\n".join(found)


def test_what_up_says(scene):
    """Its ready file and its output have the token, by design, and nothing else."""
    for what, data in (("the ready file", scene.ready_file), ("the output", scene.log)):
        found = scene.c.find(data, what, {"the demo token"})
        assert not found, found


def test_nothing_stays_reserved(scene):
    """Only requests in flight have their raw ids in a row."""
    assert {"settlements", "reservations", "api_tokens", "journal", "usage"} <= set(scene.columns)
    assert scene.columns["reservations"] == b""


def test_a_foreign_user_reads_nothing(scene):
    """Files of keys, logs and the ledger are for their owner alone."""
    for path in scene.files:
        if os.path.exists(path) and not path.endswith(".pub"):
            assert os.stat(path).st_mode & 0o077 == 0, path
    assert os.stat(os.path.dirname(scene.database)).st_mode & 0o777 == 0o700
