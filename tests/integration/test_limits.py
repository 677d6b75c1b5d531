# SPDX-License-Identifier: Apache-2.0
"""Limits of users over HTTP: 429 with what there was, what is left and when there is more; a flood is its user's own."""
import threading
import time

import pytest

from cluster import SLOW, wait_for
from scripted_node import ScriptedNode, admin
from sealclient import Client, Refused


def customer(up, name):
    user = admin(up, "user.add", name=name)["user"]
    admin(up, "user.fund", user=user, micro_usd=50_000_000, reason="test")
    return user, Client(up.url, admin(up, "token.create", user=user, name="t")["token"], up.model)


def refused(call):
    with pytest.raises(Refused) as r:
        call()
    return r.value


def numbers(headers):
    return tuple(int(headers["ratelimit-" + x]) for x in ("limit", "remaining", "reset"))


def ask(c, **more):
    return c.post("completions", c.seal({"model": c.model, "prompt": "a b", "max_tokens": 2}, model=c.model, **more))


def test_rate(up):
    user, c = customer(up, "fast")
    r = up.cli("user", "limit", user, "--rate", "6", "--dir", up.dir)
    assert r.returncode == 0 and b"rate 6" in r.stdout, r.stderr
    status, headers, _ = c.request("GET", "/v1/models")
    assert status == 200 and numbers(headers) == (6, 5, 10)
    assert "ratelimit-remaining" in headers["access-control-expose-headers"]
    for name, expect, left in ((up.model, 200, 4), ("no-such-model", 404, 3)):
        status, headers, _ = c.request("GET", "/v1/models/" + name)
        assert status == expect and numbers(headers)[:2] == (6, left)
    status, headers, body = c.request("POST", "/v1/nodes/lock", {"model": up.model})
    assert status == 200 and numbers(headers)[:2] == (6, 2)
    status, headers, _ = c.request("POST", "/v1/confidential/completions", {})  # refused before the broker
    assert status == 400 and "ratelimit-limit" not in headers
    ask(c)  # a lock and a request
    r = refused(c.lock)
    limit, left, reset = numbers(r.headers)
    assert r.status == 429 and r.error["code"] == "TOO_MANY_REQUESTS" and r.error["type"] == "rate_limit_error"
    assert (limit, left) == (6, 0) and 5 <= int(r.headers["retry-after"]) <= 10 and 55 <= reset <= 60
    for path in ("/v1/models", "/v1/models/" + up.model, "/v1/models/no-such-model"):
        r = refused(lambda: c.json("GET", path))
        assert r.status == 429 and numbers(r.headers)[:2] == (6, 0)
    r = up.cli("user", "limit", user, "--rate", "none", "--dir", up.dir)
    assert r.returncode == 0, r.stderr
    status, headers, _ = c.request("GET", "/v1/models")
    assert status == 200 and "ratelimit-limit" not in headers


def test_command_is_checked(up):
    user, _ = customer(up, "odd")
    for flags in ([], ["--rate", "fast"], ["--rate", "-1"], ["--concurrent", "0x10"]):
        r = up.cli("user", "limit", user, *flags, "--dir", up.dir)
        assert r.returncode == 2 and r.stderr, flags
    r = up.cli("user", "limit", user, "--rate", "1000000000001", "--dir", up.dir)
    assert r.returncode == 1 and b"1000000000000" in r.stderr
    assert up.cli("user", "limit", user, "--units-per-minute", "70", "--dir", up.dir).returncode == 0
    assert up.cli("user", "limit", user, "--units-per-minute", "default", "--dir", up.dir).returncode == 0
    shown = up.cli("user", "show", user, "--dir", up.dir).stdout
    assert b"units_per_minute 0" in shown and b"running 0" in shown


def test_units_per_minute(up):
    user, c = customer(up, "large")
    lock = c.lock(units=10)
    admin(up, "user.limit", user=user, units_per_minute=10_000)

    def passes():
        """What was reserved and not used comes back with the settlement, which is after the answer."""
        try:
            c.post("completions", c.seal({"model": up.model, "prompt": "a b", "max_tokens": 2}, lock=lock, units=9000))
            return True
        except Refused as r:
            assert r.status == 429 and numbers(r.headers)[0] == 10_000
            return False

    for _ in range(3):  # by the bucket alone the second would have to wait for 48 s
        wait_for("room for 9000 units", passes, 10)
    one = c.seal({"model": up.model, "prompt": "a b"}, lock=lock, units=2**40)
    assert refused(lambda: c.post("completions", one)).status in (400, 425)  # not charged for what never ran
    wait_for("room for 9000 units", passes, 10)


@pytest.fixture
def node(up):
    with ScriptedNode(up, node_id=91, model="slow") as n:
        assert n.register(n.registration(models=[["slow", 1000, 0, 1 << 20, 100]])) == 200
        yield n


def test_a_flood_is_its_users_own(up, node):
    """One user has all of its places taken and floods on; another is served at once all the while."""
    user, flooder = customer(up, "flooder")
    _, quiet = customer(up, "quiet")
    flooder.model = quiet.model = "slow"
    admin(up, "user.limit", user=user, concurrent=6)
    leave = threading.Event()
    held = str(admin(up, "user.show", user=user)["id"])

    def script(r):
        if r.headers["x-user-id"] == held:
            assert leave.wait(60)
        r.honest()

    node.script = script
    codes, stop = [], threading.Event()

    def flood():
        while not stop.is_set():
            try:
                ask(flooder)
                codes.append(200)
            except Refused as r:
                codes.append(r.status)
                assert r.status == 429 and int(r.headers["retry-after"]) >= 1, r
                assert numbers(r.headers)[0] in (6, 60000)

    threads = [threading.Thread(target=flood) for _ in range(12)]
    for t in threads:
        t.start()
    try:
        wait_for("the flood to meet its limit", lambda: codes.count(429) > 50)
        times = []
        for _ in range(10):
            began = time.monotonic()
            ask(quiet)
            times.append(time.monotonic() - began)
        assert sorted(times)[5] < 1.0 * SLOW, times
        assert admin(up, "user.show", user=user)["running"] == 6
    finally:
        stop.set()
        leave.set()
        for t in threads:
            t.join()
    assert codes.count(200) >= 6
    wait_for("nothing to run", lambda: admin(up, "user.show", user=user)["running"] == 0)
    assert admin(up, "ledger.check")["ok"] is True


def test_a_full_node_is_not_its_loudest_users(up):
    """One user asks a node of three places from a dozen threads, at once again when it is refused; another all the same is served."""
    _, loud = customer(up, "loud")
    _, quiet = customer(up, "soft")
    stop = threading.Event()
    with ScriptedNode(up, node_id=92, model="small") as node:
        assert node.register(node.registration(models=[["small", 1000, 3, 1 << 20, 100]])) == 200
        loud.model = quiet.model = "small"

        def script(r):
            time.sleep(0.05)
            r.honest()
        node.script = script

        def served(c):
            try:
                ask(c)
                return True
            except Refused as r:
                assert r.status == 429 and int(r.headers["retry-after"]) >= 1, r
                return False

        def flood():
            while not stop.is_set():
                served(loud)

        threads = [threading.Thread(target=flood) for _ in range(12)]
        for t in threads:
            t.start()
        try:
            time.sleep(0.3)
            tries = [served(quiet) or time.sleep(0.1) or served(quiet) for _ in range(8)]
        finally:
            stop.set()
            for t in threads:
                t.join()
    assert tries[2:].count(True) >= 5, tries
