# SPDX-License-Identifier: Apache-2.0
"""What an operator types at a running system: grants, journals, exports, backups and their restore, the live view."""
import fcntl
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import termios
import threading
import time

import msgpack
import pytest
import zmq

from cluster import SEALWAY, SLOW, Up, binary, wait_for
from parts import plain_env
from sealclient import Client, text_of


def run(up, *args, code=0, cwd=None):
    r = subprocess.run([SEALWAY, *args], capture_output=True, text=True, cwd=cwd, timeout=60 * SLOW,
                       env=plain_env(HOME=up.top, SEALWAY_DIR=up.dir))
    assert "Sanitizer" not in r.stderr and "runtime error" not in r.stderr, r.stderr
    assert r.returncode == code, (args, r.stdout, r.stderr)
    if code:
        assert r.stderr or "ledger" in args
    return r.stdout if not code else r.stderr + r.stdout


def data(up, *args):
    return json.loads(run(up, *args, "--json"))


def lines(text):
    return [json.loads(x) for x in text.splitlines()]


def ask(up, n=1, words=3):
    c = Client(up.url, up.token, up.model)
    for _ in range(n):
        e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": words})
        assert text_of([c.post("completions", e)])


@pytest.fixture(scope="module")
def own():
    with Up() as u:
        yield u


# --- grants and the journal ---

def test_a_grant_is_a_stack_that_costs_nothing(own):
    run(own, "user", "add", "grace")
    st = data(own, "stack", "grant", "grace", "--node", "1", "--model", "demo", "--units", "5000", "--reason", "trial")
    assert (st["bought"], st["free"], st["paid_micro_usd"], st["price"]) == (5000, 5000, 0, 0)
    assert data(own, "stack", "list", "--user", "grace")["stacks"] == [st]
    token = data(own, "token", "create", "grace", "t")["token"]
    c = Client(own.url, token, "demo")
    assert text_of([c.post("completions", c.seal({"model": "demo", "prompt": "x", "max_tokens": 2}, units=None,
                                                 lock=c.lock(units=100)))]) == "x x"
    wait_for("the bill", lambda: data(own, "stack", "show", str(st["stack"]))["spent"] == 3)
    rows = data(own, "user", "journal", "grace")["rows"]
    assert [(r["who"], r["why"], r["micro_usd"], r["balance"], r["stack"]) for r in rows] == [
        ("operator", "trial", 0, 0, st["stack"])]
    assert data(own, "ledger", "check") == {"ok": True, "problems": []}


@pytest.mark.parametrize("args, word", [
    (["nobody", "--node", "1", "--model", "demo", "--units", "1"], "no such user"),
    (["demo", "--node", "9", "--model", "demo", "--units", "1"], "no such node"),
    (["demo", "--node", "1", "--model", "other", "--units", "1"], "does not offer"),
    (["demo", "--node", "1", "--model", "demo", "--units", "1", "--reason", ""], "reason"),
    (["demo", "--node", "1", "--model", "demo", "--units", "1", "--reason", "x" * 201], "reason"),
])
def test_grants_refused(own, args, word):
    assert word in run(own, "stack", "grant", *args, code=1)


@pytest.mark.parametrize("args", [
    ["demo"], ["demo", "--node", "1", "--model", "demo"], ["demo", "--node", "1", "--units", "5"],
    ["demo", "--node", "1", "--model", "demo", "--units", "0"], ["demo", "--node", "1", "--model", "demo", "--units", "-5"],
    ["demo", "--node", "1", "--model", "demo", "--units", "9007199254740992"],
    ["demo", "--node", "1", "--model", "demo", "--units", "1e3"],
])
def test_grants_mistyped(own, args):
    run(own, "stack", "grant", *args, code=2)


def test_the_journal_adds_up(own):
    run(own, "user", "add", "jo")
    for micro, flags in ((700, []), (300, ["--take"]), (5, [])):
        run(own, "user", "fund", "jo", "--micro-usd", str(micro), "--reason", "r", *flags)
    rows = data(own, "user", "journal", "jo")["rows"]
    assert [r["micro_usd"] for r in rows] == [700, -300, 5] and [r["balance"] for r in rows] == [700, 400, 405]
    assert data(own, "user", "show", "jo")["balance_micro_usd"] == 405
    assert "no such user" in run(own, "user", "journal", "nobody", code=1)


# --- requests ---

def test_a_request_in_flight_and_settled():
    with Up("--engine", "echo:rate=5") as up:
        c = Client(up.url, up.token, up.model)
        e = c.seal({"model": "demo", "prompt": "a b", "max_tokens": 10, "stream": True}, stream=True)
        t = threading.Thread(target=lambda: c.post_stream("completions", e))
        t.start()
        listed = wait_for("the request", lambda: data(up, "request", "list")["requests"])[0]
        shown = data(up, "request", "show", listed["request"])
        assert shown["user"] == "demo" and shown["endpoint"] == "confidential_completions" and shown["units"] >= 8192
        assert set(shown) == set(listed)
        t.join()
        done = wait_for("its bill", lambda: (lambda d: d.get("state") == "settled" and d)(
            data(up, "request", "show", listed["request"])))
        assert (done["prompt"], done["completion"], done["billed"], done["outcome"]) == (2, 10, 12, "complete")
        assert not {"receipt", "receipt_hash", "plaintext_body_hash", "token"} & set(done)


def test_requests_that_are_not_there(own):
    assert "no request" in run(own, "request", "show", "0" * 32, code=1)
    for name in ("x", "0" * 31, "0" * 33, "'; DROP TABLE settlements; --"):
        assert "name" in run(own, "request", "show", name, code=1)


# --- export ---

def test_export_says_what_was_billed(own):
    ask(own, 3)
    wait_for("the bills", lambda: not data(own, "request", "list")["requests"])
    rows = lines(run(own, "ledger", "export"))
    assert len({r["id"] for r in rows}) == len(rows) >= 3
    for user in {r["user"] for r in rows}:
        billed = sum(r["billed"] for r in rows if r["user"] == user)
        assert billed == sum(u["billed"] for u in data(own, "usage")["usage"] if u["user"] == user)
        assert billed == sum(s["spent"] for s in data(own, "stack", "list", "--user", user)["stacks"])
    assert lines(run(own, "ledger", "export", "--user", "demo")) == [r for r in rows if r["user"] == "demo"]
    journal = lines(run(own, "ledger", "export", "--what", "journal"))
    for user in data(own, "user", "list")["users"]:
        assert sum(j["micro_usd"] for j in journal if j["user"] == user["user"]) == user["balance_micro_usd"]


def test_export_by_day(own):
    ask(own)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    tomorrow = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86400))
    assert lines(run(own, "ledger", "export", "--from", today, "--to", tomorrow))
    assert run(own, "ledger", "export", "--from", tomorrow) == ""
    assert run(own, "ledger", "export", "--to", "2020-01-01") == ""
    for bad in ("yesterday", "2026-13-01", "2026-01-01x"):
        run(own, "ledger", "export", "--from", bad, code=2)
    assert "settlements or journal" in run(own, "ledger", "export", "--what", "tokens", code=1)


def test_export_is_paged(own):
    """More rows than a page: all of them, once."""
    db = sqlite3.connect(os.path.join(own.dir, "ledger.db"), timeout=30)
    user = db.execute("SELECT id FROM users WHERE name = 'demo'").fetchone()[0]
    before = db.execute("SELECT count(*) FROM journal WHERE user = ?", (user,)).fetchone()[0]
    balance = db.execute("SELECT balance FROM users WHERE id = ?", (user,)).fetchone()[0]
    with db:
        db.executemany("INSERT INTO journal (user, at, who, why, delta, balance_after) VALUES (?, 5, 'test', 'page', 0, ?)",
                       [(user, balance)] * 2100)
    db.close()
    rows = lines(run(own, "ledger", "export", "--what", "journal", "--user", "demo"))
    assert len(rows) == before + 2100 and len({r["id"] for r in rows}) == len(rows)
    assert len(data(own, "user", "journal", "demo")["rows"]) == before + 2100


# --- check, backup, restore ---

def test_backup_under_load_and_restore(tmp_path):
    dir, kept = str(tmp_path / "d"), tmp_path / "kept"
    kept.mkdir()
    with Up(dir=dir) as up:
        stop, bad = threading.Event(), []

        def load():
            while not stop.is_set():
                try:
                    ask(up)
                except Exception as e:  # noqa: BLE001 - shown below
                    bad.append(repr(e))
        threads = [threading.Thread(target=load) for _ in range(2)]
        for t in threads:
            t.start()
        ask(up, 3)
        made = [data(up, "ledger", "backup", str(kept / f"copy{i}.db"))["file"] for i in range(3)]
        stop.set()
        for t in threads:
            t.join()
        assert not bad
        epoch = data(up, "status")["epoch"]
        users = data(up, "user", "list")["users"]
    assert sorted(os.listdir(kept)) == sorted(os.path.basename(f) for f in made)  # no parts left
    for f in made:
        assert stat.S_IMODE(os.stat(f).st_mode) == 0o600
        r = subprocess.run([SEALWAY, "ledger", "check", "--database", f], capture_output=True, text=True)
        assert r.returncode == 0 and "adds up" in r.stdout, r.stdout + r.stderr
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):  # as OPERATING.md says
        if os.path.exists(os.path.join(dir, name)):
            os.unlink(os.path.join(dir, name))
    shutil.copy(made[-1], os.path.join(dir, "ledger.db"))
    with Up(dir=dir) as again:
        assert data(again, "ledger", "check")["ok"] and data(again, "status")["epoch"] > epoch + 1000
        assert {u["user"] for u in data(again, "user", "list")["users"]} == {u["user"] for u in users}
        spent = sum(s["spent"] for s in data(again, "stack", "list")["stacks"])
        assert spent == sum(u["billed"] for u in data(again, "usage")["usage"]) > 0
        ask(again)


def test_backups_refused(own, tmp_path):
    there = tmp_path / "there"
    there.write_text("mine")
    assert "there already" in run(own, "ledger", "backup", str(there), code=1)
    assert there.read_text() == "mine"
    assert "No such file" in run(own, "ledger", "backup", str(tmp_path / "no" / "where"), code=1)
    run(own, "ledger", "backup", "relative.db", cwd=tmp_path)
    assert (tmp_path / "relative.db").exists()
    assert sorted(os.listdir(tmp_path)) == ["relative.db", "there"]
    run(own, "ledger", "backup", code=2)


def test_check_of_a_file_that_lies(own, tmp_path):
    copy = str(tmp_path / "copy.db")
    run(own, "ledger", "backup", copy)
    db = sqlite3.connect(copy)
    with db:
        db.execute("UPDATE users SET balance = balance + 1 WHERE name = 'demo'")
    db.close()
    text = run(own, "ledger", "check", "--database", copy, code=1)
    assert "balance of a user is not the sum of the journal" in text and "does not add up" in text
    told = json.loads(run(own, "ledger", "check", "--database", copy, "--json", code=1))
    assert told == {"ok": False, "problems": text.splitlines()[:-1]} and len(told["problems"]) == 1
    assert data(own, "ledger", "check", "--database", os.path.join(own.dir, "ledger.db")) == {"ok": True, "problems": []}
    with open("/dev/full", "wb") as full:
        r = subprocess.run([SEALWAY, "ledger", "check", "--database", copy], stdout=full, stderr=subprocess.PIPE,
                           text=True, env=plain_env())
    assert r.returncode == 1 and "cannot be written" in r.stderr
    (tmp_path / "text").write_text("this is no database, but it is long enough to be looked at" * 20)
    (tmp_path / "empty").write_text("")
    (tmp_path / "directory").mkdir()
    db = sqlite3.connect(tmp_path / "foreign")
    db.execute("CREATE TABLE t (a)")
    db.close()
    for name, why in (("none", "No such file"), ("text", "no SQLite file"), ("empty", "no SQLite file"),
                      ("directory", "Is a directory"), ("foreign", "another program's")):
        text = run(own, "ledger", "check", "--database", str(tmp_path / name), code=1)
        assert f"{tmp_path / name}: cannot be opened as a ledger: " in text and why in text, text
        assert "does not add up" not in text
    assert not (tmp_path / "none").exists()


def test_a_broken_ledger_is_not_served(own, tmp_path):
    ask(own)
    copy = str(tmp_path / "copy.db")
    run(own, "ledger", "backup", copy)
    db = sqlite3.connect(copy)
    with db:
        db.execute("UPDATE stacks SET spent = spent + 1")
    db.close()
    r = subprocess.run([binary("broker"), "--database", copy, "--bus", f"ipc://{tmp_path}/b", "--admin",
                        f"ipc://{tmp_path}/a"], capture_output=True, text=True, timeout=30 * SLOW, env=plain_env())
    assert r.returncode == 1 and "ledger_refused" in r.stderr and "restore a backup" in r.stderr


# --- the live view ---

def test_top_once(own):
    view = run(own, "top", "--once")
    assert re.search(r"requests \d+ \(\d+\.\d/s\)", view) and re.search(r"^1 +ready +0", view, re.M)
    one, two = data(own, "top"), (ask(own, 2), data(own, "top"))[1]
    assert two["counts"]["requests"] == one["counts"]["requests"] + 2 and two["ms"] > one["ms"]
    assert [n["node"] for n in two["nodes"]] == [1] and len(two["workers"]) == 1


def screen(up, rows, columns):
    """top on a terminal of its own; not the one that controls it, whose last words the kernel drops with its session."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    p = subprocess.Popen([SEALWAY, "top"], stdin=its, stdout=its, stderr=its,
                         env=plain_env(HOME=up.top, SEALWAY_DIR=up.dir, TERM="xterm"))
    os.close(its)
    return p, ours


def read_until(fd, check):
    text, end = "", time.time() + 20 * SLOW
    while not check(text):
        assert time.time() < end, text
        try:
            text += os.read(fd, 4096).decode(errors="replace")
        except OSError:
            break
    return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_top_gives_the_screen_back(own, number):
    p, fd = screen(own, 6, 30)
    text = read_until(fd, lambda t: t.count("\033[H\033[J") >= 3)
    p.send_signal(number)
    text += read_until(fd, lambda t: "\033[?1049l" in t)
    os.close(fd)
    assert p.wait(20 * SLOW) == 0
    assert text.startswith("\033[?1049h\033[?25l") and text.rstrip().endswith("\033[?25h\033[?1049l")
    for view in text.split("\033[H\033[J")[2:-1]:
        shown = view.replace("\r", "").rstrip("\n").split("\n")
        assert len(shown) <= 5 and all(len(x) <= 30 for x in shown), view


def test_no_broker_for_top(tmp_path):
    r = subprocess.run([SEALWAY, "top", "--once", "--dir", str(tmp_path)], capture_output=True, text=True, timeout=30 * SLOW,
                       env=plain_env(HOME=str(tmp_path)))
    assert r.returncode == 1 and r.stderr and not r.stdout


# --- a broker that takes its time ---

def slow_desk(path, seconds, again=False):
    """Answers one call after a while, as a broker with a long ledger does; seconds None: dies with the call, and is
    started again at once or not."""
    desk = zmq.Context.instance().socket(zmq.ROUTER)
    desk.bind(f"ipc://{path}")

    def answer():
        route, call = desk.recv_multipart() if desk.poll(20000 * SLOW) else (b"", b"")
        if call and seconds:
            version, _, rid, *_ = msgpack.unpackb(call)
            time.sleep(seconds)
            desk.send_multipart([route, msgpack.packb([version, 27, rid, 0, '{"ok": true, "problems": []}'])])
            time.sleep(1)  # close() may lose what was just sent
        desk.close(linger=0)
        if again:  # and knows nothing of the call
            later = zmq.Context.instance().socket(zmq.ROUTER)
            later.bind(f"ipc://{path}")
            time.sleep(7)
            later.close(linger=0)
    t = threading.Thread(target=answer)
    t.start()
    return t


def test_a_long_ledger_is_waited_for_and_a_dead_broker_is_not(tmp_path):
    threads, calls = [], []
    for name, seconds, args in (("a", 6, ["ledger", "check"]), ("b", 6, ["status"]), ("c", None, ["ledger", "backup", "x"]),
                                ("d", None, ["ledger", "backup", "x"])):
        threads.append(slow_desk(tmp_path / name, seconds, name == "d"))
        calls.append(subprocess.Popen([SEALWAY, *args, "--admin", f"ipc://{tmp_path}/{name}"], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, env=plain_env(HOME=str(tmp_path))))
    said = [c.communicate(timeout=6 * SLOW) if name == "d" else None for name, c in zip("abcd", calls)]
    said = [s or c.communicate(timeout=40 * SLOW) for s, c in zip(said, calls)]
    for t in threads:
        t.join()
    assert (calls[0].returncode, *said[0]) == (0, "the ledger adds up\n", "")
    for c, (out, err), what in zip(calls[1:], said[1:], ("did not answer in time", "no broker answers", "no broker answers")):
        assert c.returncode == 1 and what in err and not out
