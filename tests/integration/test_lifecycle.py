# SPDX-License-Identifier: Apache-2.0
"""`sealway up` from its first second to its last: what it leaves, what it keeps, what it survives."""
import json
import os
import re
import signal
import stat
import subprocess
import threading
import time

import pytest
from cluster import SEALWAY, SLOW, Up, children, wait_for
from parts import Parts, get
from sealclient import Client, Cut, Refused, text_of


def gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def client_of(up):
    return Client(up.url, up.token, up.model)


def complete(c, n=3, stream=False, on_event=None):
    e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": n, "stream": stream}, stream=stream)
    if stream:
        return text_of(c.post_stream("completions", e, on_event))
    return text_of([c.post("completions", e)])


def works(c):
    try:
        return complete(c) == "a b a"
    except (Refused, OSError):
        return False


def tree(folder):
    return sorted(os.path.join(base, n) for base, dirs, names in os.walk(folder) for n in names + dirs)


# --- what is left ---

def test_nothing_is_left_and_nothing_is_outside(tmp_path):
    """No process, no file but those of the directory; while it runs, none is open for writing elsewhere."""
    places = {n: tmp_path / n for n in ("home", "tmp", "run", "data")}
    for n in ("home", "tmp", "run"):
        places[n].mkdir()
    env = {"TMPDIR": str(places["tmp"]), "XDG_CONFIG_HOME": str(places["home"]), "XDG_RUNTIME_DIR": str(places["run"])}
    here = sorted(os.listdir("."))
    with Up("--gateways", "2", "--workers", "2", "--nodes", "2", dir=str(places["data"]), env=env) as up:
        pids = [p for group in up.pids.values() for p in group]
        assert sorted(pids) == sorted(children(up.p.pid)) and len(pids) == 7
        c = client_of(up)
        for i in range(12):
            complete(c, stream=bool(i % 2))
        for pid in pids + [up.p.pid]:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    path = os.readlink(f"/proc/{pid}/fd/{fd}")
                except FileNotFoundError:  # closed since it was listed
                    continue
                if path.startswith("/") and not path.startswith(("/dev/", "/proc/", str(places["data"]))):
                    flags = int(re.search(r"flags:\s*(\d+)", open(f"/proc/{pid}/fdinfo/{fd}").read())[1], 8)
                    assert path == up.log_path or flags & os.O_ACCMODE == os.O_RDONLY, path
    assert all(gone(pid) for pid in pids)
    for n in ("home", "tmp", "run"):
        assert tree(places[n]) == [], n
    assert sorted(os.listdir(".")) == here
    left = {os.path.relpath(p, places["data"]).split("/")[0] for p in tree(places["data"])}
    assert left == {"conf", "keys", "known_nodes", "ledger.db", "ledger.db.lease", "lock", "log", "run"}
    assert not os.listdir(places["data"] / "run")
    for p in tree(places["data"]):
        assert not stat.S_ISSOCK(os.stat(p).st_mode) and not p.endswith((".new", ".tmp")), p


def test_stopped_while_it_starts(tmp_path):
    """SIGTERM at any moment of the start: an end with status 0 or 1, and nothing left."""
    for i, moment in enumerate(("keys", "conf/broker-1.ini", "run/broker-1.ready", "conf/node-1.ini")):
        d = str(tmp_path / str(i))
        p = subprocess.Popen([SEALWAY, "up", "--dir", d, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait_for(moment, lambda: os.path.exists(os.path.join(d, moment)))
        pids = children(p.pid)
        p.send_signal(signal.SIGTERM)
        out = p.communicate(timeout=40 * SLOW)[0].decode()
        assert p.returncode in (0, 1, -signal.SIGTERM), out
        assert p.returncode >= 0 or moment == "keys", out
        wait_for("its children to go", lambda: all(gone(pid) for pid in pids), 3)
        assert "Sanitizer" not in out and "runtime error" not in out, out
        with Up(dir=d) as up:  # and the directory is as good as new
            assert works(client_of(up))


def test_start_up_time(capsys):
    began = time.time()
    with Up() as first:
        took = time.time() - began
        data = first.dir
        assert works(client_of(first))
        with capsys.disabled():
            print(f"\n  sealway up was ready after {took:.2f} s", end="")
        assert took < 10 * SLOW and os.path.isdir(data)


# --- deaths ---

def test_each_child_is_killed_and_replaced():
    with Up("--engine", "echo:rate=500") as up:
        c = client_of(up)
        assert works(c)
        for role in ("gateway", "worker", "node", "broker"):
            victim = up.pids[role][0]
            os.kill(victim, signal.SIGKILL)
            began = time.time()
            wait_for("it to be said", lambda: f"{role}-1 was killed by signal 9" in open(up.log_path).read(), 5)
            wait_for("the new one's pid", lambda: json.load(open(up.ready_file))["pids"][role] not in ([], [victim]), 5)
            wait_for(f"service after the death of {role}", lambda: works(c), 10)
            took = time.time() - began
            assert took < 6 * SLOW, f"{role}: {took:.1f} s"
            fresh = json.load(open(up.ready_file))
            others = [k for k in up.pids if k != role]
            assert {k: fresh["pids"][k] for k in others} == {k: up.pids[k] for k in others}
            assert (fresh["url"], fresh["token"]) == (up.url, up.token)
            up.pids = fresh["pids"]
        assert complete(c, 40, stream=True).split() == ["a", "b"] * 20
        r = up.cli("status", "--dir", up.dir)
        assert r.returncode == 0 and b"ledger ok=true" in r.stdout


def test_a_stream_does_not_notice_the_brokers_death():
    """It goes on to its end, and is billed by the broker that `up` starts instead."""
    with Up("--engine", "echo:rate=20") as up:
        c = client_of(up)
        seen = []

        def on_event(*event):
            seen.append(event)
            if len(seen) == 5:
                os.kill(up.pids["broker"][0], signal.SIGKILL)

        assert complete(c, 60, True, on_event).split() == ["a", "b"] * 30
        wait_for("service", lambda: works(c), 10)
        r = up.cli("usage", "--json", "--dir", up.dir)
        assert r.returncode == 0
        wait_for("both bills", lambda: sum(u["billed"] for u in json.loads(
            up.cli("usage", "--json", "--dir", up.dir).stdout)["usage"]) >= 62 + 5, 20)


def test_up_itself_is_killed(tmp_path):
    d = str(tmp_path / "d")
    up = Up(dir=d)
    pids = children(up.p.pid)
    assert len(pids) == 4 and works(client_of(up))
    users = up.cli("user", "list", "--json", "--dir", d).stdout
    assert b"balance_micro_usd" in users
    up.p.kill()
    up.p.wait()
    wait_for("the children to go", lambda: all(gone(pid) for pid in pids), 3)
    up.stop(check=False)
    with Up(dir=d) as again:  # stale sockets, ready files and locks are in nobody's way
        assert works(client_of(again))
        assert "problem" not in open(again.log_path).read()
        assert again.cli("user", "list", "--json", "--dir", d).stdout == users


# --- one directory ---

def test_the_same_directory_twice():
    with Up() as up:
        before = tree(up.dir)
        for _ in range(2):
            r = up.cli("up", "--dir", up.dir, "--listen", "127.0.0.1:0", "--ready-file", os.path.join(up.top, "second"))
            assert r.returncode == 1 and r.stdout == b""
            assert f"another sealway up uses {up.dir} (process {up.p.pid})".encode() in r.stderr
        assert not os.path.exists(os.path.join(up.top, "second"))
        assert [p for p in before if p not in tree(up.dir) and not p.endswith(("-wal", "-shm"))] == []
        assert works(client_of(up))


def test_a_second_start_keeps_everything(tmp_path):
    d = str(tmp_path / "d")

    def books(up):
        out = {}
        for what in (("user", "list"), ("stack", "list"), ("usage",)):
            r = up.cli(*what, "--json", "--dir", d)
            assert r.returncode == 0, r.stderr
            (out[what[0]],) = (sorted(rows, key=str) for rows in json.loads(r.stdout).values())
        return out

    def files(folder):
        return {f: open(os.path.join(d, folder, f)).read() for f in os.listdir(os.path.join(d, folder))}

    tokens = []
    with Up(dir=d) as up:
        c = client_of(up)
        for i in range(5):
            complete(c, stream=bool(i % 2))
        assert up.cli("user", "add", "bob", "--dir", d).returncode == 0
        assert up.cli("user", "fund", "bob", "--micro-usd", "777777", "--dir", d).returncode == 0
        bobs = [w for w in up.cli("token", "create", "bob", "t", "--dir", d).stdout.decode().split()
                if w.startswith("sk-sealway-")][0]
        wait_for("the bills", lambda: sum(u["billed"] for u in books(up)["usage"]) == 25)
        before, keys = books(up), files("keys")
        pins = open(os.path.join(d, "known_nodes")).read().split("\n", 1)[1].split()[-1]
        tokens.append(up.token)
    for _ in range(2):
        with Up(dir=d) as up:
            assert books(up) == before
            assert files("keys") == keys
            assert open(os.path.join(d, "known_nodes")).read().split("\n", 1)[1].split()[-1] == pins
            assert up.token not in tokens
            for old in tokens:
                with pytest.raises(Refused) as r:
                    Client(up.url, old).lock()
                assert r.value.status == 401 and r.value.error["code"] == "AUTH_ERROR"
            assert Client(up.url, bobs).json("GET", "/v1/models")["data"]  # other users' tokens stay
            tokens.append(up.token)
            assert b"ledger ok=true" in up.cli("status", "--dir", d).stdout


@pytest.mark.parametrize("length", [150, 480, 482, 1000, 5000])
def test_long_directories_work_or_say_why(tmp_path, length):
    d = str(tmp_path)
    while len(d) < length:
        d += "/" + "x" * min(200, max(1, length - len(d) - 1))
    if length < 4000:
        os.makedirs(os.path.dirname(d), exist_ok=True)
    if length < 481:
        with Up(dir=d) as up:
            assert works(client_of(up)) and up.cli("status", "--dir", d).returncode == 0
        return
    r = subprocess.run([SEALWAY, "up", "--dir", d, "--listen", "127.0.0.1:0"], capture_output=True, text=True)
    assert r.returncode == 1 and "too long" in r.stderr, r.stderr[:300]
    assert not os.path.exists(d) or os.listdir(d) == []


def test_directories_that_cannot_be_used(tmp_path):
    a_file = tmp_path / "file"
    a_file.write_text("")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    for d, word in ((a_file, "cannot use"), (tmp_path / "none" / "deep", "cannot make"), (shared, "writable by nobody"),
                    ("/proc/nothing", "cannot make")):
        r = subprocess.run([SEALWAY, "up", "--dir", str(d), "--listen", "127.0.0.1:0"], capture_output=True, text=True,
                           timeout=30 * SLOW)
        assert r.returncode == 1 and r.stdout == "" and word in r.stderr and str(d) in r.stderr, (d, r.stderr)
    assert list(shared.iterdir()) == []


def test_a_key_that_others_may_read_stops_the_start(tmp_path):
    d = str(tmp_path / "d")
    with Up(dir=d):
        pass
    os.chmod(os.path.join(d, "keys", "proxy-auth.key"), 0o644)
    r = subprocess.run([SEALWAY, "up", "--dir", d, "--listen", "127.0.0.1:0"], capture_output=True, text=True,
                       timeout=60 * SLOW)
    assert r.returncode == 1 and "chmod 600" in r.stderr and "proxy-auth.key" in r.stderr, r.stderr


# --- the end of what runs ---

def test_streams_of_all_kinds_finish_at_sigterm():
    with Up("--engine", "echo:rate=20") as up:
        c, done, bad, began = client_of(up), [], [], []

        def one(i):
            try:
                stream = i % 2 == 0
                text = complete(c, 40, stream, lambda *_: began.append(i))
                assert text.split() == ["a", "b"] * 20
                done.append(i)
            except Exception as e:  # noqa: BLE001 - shown below
                bad.append(f"{i}: {e!r}")

        threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        busy = "sealway_worker_tasks 6\n"
        ready = json.load(open(os.path.join(up.dir, "run", "worker-1.ready")))
        wait_for("all six to run", lambda: bad or busy in get(ready["admin"], "/metrics")[2])
        wait_for("the streams", lambda: bad or set(began) == {0, 2, 4})
        stopped = time.time()
        up.p.send_signal(signal.SIGTERM)
        wait_for("no new ones", lambda: not works(c), 5)
        for t in threads:
            t.join()
        assert not bad and len(done) == 6, bad
        assert up.p.wait(20 * SLOW) == 0
        assert time.time() - stopped < 15 * SLOW
        assert not os.path.exists(up.ready_file)


def test_what_outlives_the_drain_is_cut():
    """The limit is the gateway's drain_s: the client sees a cut, never a clean end; units are settled."""
    with Parts("echo:rate=10") as p:
        p.start("broker")
        p.start("worker")
        gateway = p.start("gateway", "--drain-s", "2")
        p.start("node")
        p.operate()
        p.ready()
        c = Client(p.url, p.token)
        seen, ends = [], []

        def run():
            try:
                ends.append(complete(c, 2000, True, lambda *e: seen.append(e)))
            except (Cut, AssertionError) as e:
                ends.append(e)

        t = threading.Thread(target=run)
        t.start()
        wait_for("the stream", lambda: len(seen) >= 3)
        began = time.time()
        gateway.end(code=1)
        took = time.time() - began
        t.join()
        assert 1.5 < took < 10 * SLOW and isinstance(ends[0], (Cut, AssertionError)), (took, ends)

        def books():
            return json.loads(p.run("stack", "--json"))["stacks"][0]
        wait_for("the units to be settled", lambda: books()["reserved"] == 0, 20)
        assert 2 < books()["spent"] < 200
        assert "ledger ok=true" in p.run("status")
