# SPDX-License-Identifier: Apache-2.0
"""A database that cannot be written, under the real processes: clear errors, nothing half-written, and service again."""
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time

import pytest
from cluster import SLOW, binary, wait_for
from faults import seconds_until
from parts import Parts, plain_env
from sealclient import Client, Refused, text_of

NOBODY = 65534


def complete(c, units=500):
    e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": 3}, units=units)
    return text_of([c.post("completions", e)])


@pytest.fixture
def parts():
    with Parts() as p:
        p.start_all(("broker", "worker", "node"))
        p.start("gateway", "--dispatch-ms", "2000")
        p.operate()
        p.ready()
        wait_for("the model", lambda: "demo" in p.run("model", "list"))
        yield p


def test_writes_fail_while_it_serves(parts):
    """No file of the broker's can be written beyond where its log ends; so it is of its database's log."""
    c = Client(parts.url, parts.token, "demo")
    pid = parts.broker.p.pid
    wal = next(n for n in os.listdir(parts.dir) if n.endswith("-wal"))
    room = os.path.getsize(parts.broker.log_path) + 65536
    while os.path.getsize(os.path.join(parts.dir, wal)) < room + 65536:
        assert complete(c) == "a b a"
    lock = c.lock(units=500, timeout=60)
    before = json.loads(parts.run("stack", "list", "--json"))["stacks"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    began, refusals = time.monotonic(), []
    while not refusals:  # the first one waits for its commit, and is told at once that it fails
        sent = time.monotonic()
        try:
            c.post("completions", c.seal({"model": "demo", "prompt": "a b", "max_tokens": 3}, lock=lock, units=500))
        except Refused as r:
            refusals.append(r)
            assert time.monotonic() - sent < 1 * SLOW
        assert time.monotonic() - began < 60 * SLOW
    wait_for("the operator to be told", lambda: "event=store_failing" in parts.broker.log())
    assert "nothing is admitted until the database can be written again" in parts.broker.log()
    for what in (lambda: c.lock(units=500, timeout=60), lambda: complete(c)):
        with pytest.raises(Refused) as r:
            what()
        refusals.append(r.value)
    assert 1 <= parts.broker.log().count("event=store_sqlite") <= 2 + (time.monotonic() - began) / 10
    for r in refusals:
        assert r.status == 503 and r.error["code"] == "SERVICE_UNAVAILABLE" and int(r.headers["retry-after"]) >= 1, r
    assert parts.broker.p.poll() is None
    assert parts.sealway("ledger", "check", "--database", os.path.join(parts.dir, wal.removesuffix("-wal"))).returncode == 0
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def serves():
        try:
            return complete(c) == "a b a"
        except Refused:
            return False

    took = seconds_until(serves, 10 * SLOW)
    print(f"\n  served again {took:.2f} s after its database could be written")
    assert "event=store_recovered" in parts.broker.log()
    wait_for("everything to be settled", lambda: not json.loads(parts.run("request", "list", "--json"))["requests"])
    parts.run("ledger", "check")
    after = json.loads(parts.run("stack", "list", "--json"))["stacks"]
    assert len(after) == len(before) == 1
    assert after[0]["spent"] == before[0]["spent"] + 5  # the one request that was answered, of 2 + 3 tokens


@pytest.mark.parametrize("what", ["directory", "file"])
def test_not_writable_at_the_start(what):
    """Another user's: the broker says which database and what to do, touches nothing, and starts once it may."""
    top = tempfile.mkdtemp(prefix="sw")
    try:
        os.chmod(top, 0o755)
        program = shutil.copy(binary("broker"), top)  # the build may lie where nobody else may look
        run, data = os.path.join(top, "run"), os.path.join(top, "data")
        for d in (run, data):
            os.mkdir(d, 0o755)
        db = os.path.join(data, "ledger.db")
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}

        def give(path, mine):
            if user:
                os.chown(path, *([NOBODY] * 2 if mine else [0, 0]))
            os.chmod(path, (0o755 if os.path.isdir(path) else 0o644) if mine or user else 0o444 | os.path.isdir(path) * 0o111)

        def start():
            ready = os.path.join(run, "ready")
            if os.path.exists(ready):
                os.unlink(ready)
            return ready, subprocess.Popen(
                [program, "--bus", f"ipc://{run}/bus", "--admin", f"ipc://{run}/admin", "--database", db,
                 "--ready-file", ready], cwd=run, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, env=plain_env(), **user)

        def lives():
            ready, p = start()
            try:
                wait_for("the broker", lambda: os.path.exists(ready) or p.poll() is not None)
                assert p.poll() is None, p.communicate()[0]
            finally:
                p.terminate()
            out = p.communicate(timeout=30 * SLOW)[0]
            assert p.returncode == 0, out

        give(run, True)
        give(data, True)
        if what == "file":
            lives()
            give(db, False)
        else:
            give(data, False)
        was = {n: open(os.path.join(data, n), "rb").read() for n in os.listdir(data)}
        _, p = start()
        out = p.communicate(timeout=30 * SLOW)[0]
        assert p.returncode == 1, out
        errors = [x for x in out.splitlines() if "level=error" in x]
        assert len(errors) == 1 and f"database={db}" in errors[0] and "let this user write the file and its directory" in errors[0], out
        assert "Sanitizer" not in out
        for n in was:
            assert open(os.path.join(data, n), "rb").read() == was[n]
        give(data, True)
        if what == "file":
            give(db, True)
        lives()
    finally:
        shutil.rmtree(top)
