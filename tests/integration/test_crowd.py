# SPDX-License-Identifier: Apache-2.0
"""Money under a crowd and under nonsense: the last units of a stack, numbers that no field takes, whose stack it is."""
import json
import os
import statistics
import threading
import time

import msgpack
import pytest
import zmq

from cluster import SLOW, Up
from scripted_node import admin, setting
from sealclient import Client, Refused

ODD = [-1, -2**53, -2**63, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, 1.5, -0.5, 1e300, "5", True, [], {}]


def new_user(up, name, micro_usd=0):
    admin(up, "user.add", name=name)
    if micro_usd:
        admin(up, "user.fund", user=name, micro_usd=micro_usd, reason="test")
    return Client(up.url, admin(up, "token.create", user=name, name="t")["token"], up.model)


def stacks(up, user):
    return admin(up, "stack.list", user=user)["stacks"]


def sound(up):
    answer = admin(up, "ledger.check")
    assert answer["ok"] is True, answer


def statuses(ask, n):
    """What n calls at the same time come to, each on a connection of its own."""
    got, start = [], threading.Barrier(n)

    def one():
        start.wait()
        try:
            ask()
            got.append(200)
        except Refused as r:
            got.append(r.status)
        except OSError as e:
            got.append(repr(e))
    threads = [threading.Thread(target=one) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60 * SLOW)
    return got


def test_two_hundred_locks_for_ten_places():
    """No balance, and a stack with room for ten: ten locks, through two gateways, and 402 for all others."""
    with Up("--gateways", "2") as up:
        assert len(up.pids["gateway"]) == 2
        crowd = new_user(up, "crowd")
        admin(up, "stack.grant", user="crowd", node=1, model=up.model, units=10_000, reason="test")
        got = statuses(lambda: crowd.lock(units=1000, timeout=120), 200)
        assert sorted(set(got), key=str) == [200, 402] and got.count(200) == 10, sorted(got, key=str)
        (st,) = stacks(up, "crowd")
        assert (st["bought"], st["free"], st["reserved"], st["spent"]) == (10_000, 0, 10_000, 0)
        two = new_user(up, "two", 1_000_000)
        assert statuses(lambda: two.lock(units=1000, timeout=120), 20) == [200] * 20
        (st,) = stacks(up, "two")
        assert st["reserved"] == 20_000
        assert admin(up, "user.show", user="two")["balance_micro_usd"] == 1_000_000 - st["paid_micro_usd"]
        sound(up)


@pytest.fixture(scope="module")
def rich(up):
    return new_user(up, "rich", 1_000_000)


def raw(up, verb, args):
    """(error, body) of an operator's command; args is JSON text, so that it can be anything."""
    s = zmq.Context.instance().socket(zmq.DEALER)
    s.linger = 0
    s.connect("ipc://" + os.path.join(up.dir, setting(up, "broker", "admin").removeprefix("ipc://")))
    try:
        s.send(msgpack.packb([2, 26, os.urandom(16), verb, args]))
        assert s.poll(10_000 * SLOW), f"no answer to {verb} {args}"
        return msgpack.unpackb(s.recv())[3:5]
    finally:
        s.close()


@pytest.mark.parametrize("verb, fields, rest", [
    ("user.fund", ["micro_usd"], {"reason": "test"}),
    ("user.price", ["price", "node"], {"price": 5}),
    ("user.limit", ["rate", "concurrent", "units_per_minute"], {}),
    ("stack.grant", ["units", "node"], {"units": 5, "node": 1, "reason": "test"}),
    ("stack.show", ["stack"], {}),
    ("stack.unlock", ["stack"], {}),
    ("node.show", ["node"], {}),
    ("node.drain", ["node"], {}),
    ("node.remove", ["node"], {}),
])
def test_numbers_that_an_operator_cannot_mean(up, rich, verb, fields, rest):
    before = admin(up, "user.show", user="rich"), stacks(up, "rich"), admin(up, "node.list")["nodes"][0]["state"]
    for field in fields:
        for odd in ODD:
            if verb == "user.fund" and odd == -1:
                continue  # taking one micro-USD back is allowed
            args = json.dumps({"user": "rich", "model": up.model, **rest, field: odd})
            error, body = raw(up, verb, args)
            assert error != 0, f"{verb} {args}: {body}"
            assert json.loads(body)["message"], body
    assert (admin(up, "user.show", user="rich"), stacks(up, "rich"),
            admin(up, "node.list")["nodes"][0]["state"]) == before
    sound(up)


@pytest.mark.parametrize("field", ["max_num_tokens", "timeout"])
def test_numbers_that_a_lock_does_not_take(up, rich, field):
    for odd in [0, 601 if field == "timeout" else 2**20 + 1, *ODD]:
        with pytest.raises(Refused) as r:
            rich.json("POST", "/v1/nodes/lock", {"model": up.model, field: odd})
        assert (r.value.status, r.value.error["param"]) == (400, field), odd
    assert stacks(up, "rich") == []


def test_numbers_that_a_request_does_not_take(up, client):
    e = client.seal({"model": up.model, "prompt": "x", "max_tokens": 1})
    for field in ("num_compute_units", "stack_small_id"):
        for odd in ODD:
            with pytest.raises(Refused) as r:
                client.json("POST", "/v1/confidential/completions", dict(e.body, **{field: odd}))
            assert r.value.status == 400 or (field, r.value.status) == ("num_compute_units", 425), (odd, r.value)
    client.post("completions", e)  # and the lock is still there
    sound(up)


def alike(ask, a, b):
    """What the machine does meanwhile falls on both alike: they take turns."""
    took = [[], []]
    for i in range(400):
        began = time.perf_counter()
        ask((a, b)[i % 2])
        took[i % 2].append(time.perf_counter() - began)
    a, b = (statistics.median(x) for x in took)
    assert max(a, b) < 1.5 * min(a, b) + 0.0005, (a, b)


def test_another_users_stack_takes_as_long_as_none(up, client, rich):
    """Also while a lock stands on it, and a stack of one's own that has another model."""
    foreign = rich.lock(units=100, timeout=600)["stack_small_id"]
    lock = client.lock(units=100, timeout=600)
    body = client.seal({"model": up.model, "prompt": "x", "max_tokens": 1}, lock=lock).body

    def ask(change):
        assert client.request("POST", "/v1/confidential/completions", dict(body, **change))[0] == 404

    alike(ask, {"stack_small_id": foreign}, {"stack_small_id": 4242})
    alike(ask, {"model_name": "another"}, {"stack_small_id": 4242})
    client.json("POST", "/v1/confidential/completions", body)  # the lock was not used up by any of it


def test_a_revoked_token_takes_as_long_as_none(up, rich):
    token = admin(up, "token.create", user="rich", name="gone")["token"]
    admin(up, "token.revoke", user="rich", name="gone")

    def ask(token):
        assert Client(up.url, token, up.model).request("GET", "/v1/models")[0] == 401

    alike(ask, token, token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))
