# SPDX-License-Identifier: Apache-2.0
"""Other users' things look like nothing; money that is not there is 402; limits are 429; cuts on HTTP/2 are resets."""
import json
import threading
import time

import pytest

import h2client
from cluster import wait_for
from scripted_node import ScriptedNode, admin
from sealclient import Client, Refused

PATH = "/v1/confidential/completions"


@pytest.fixture(scope="module")
def other(up):
    """A second user with money."""
    user = admin(up, "user.add", name="other")["user"]
    admin(up, "user.fund", user=user, micro_usd=1_000_000, reason="test")
    token = admin(up, "token.create", user=user, name="t")["token"]
    return user, Client(up.url, token, up.model)


def without_id(error):
    return {k: v for k, v in error.items() if k != "request_id"}


def refused(call):
    with pytest.raises(Refused) as r:
        call()
    return r.value


def test_stack_of_another_user_is_an_unknown_stack(client, other):
    lock = other[1].lock()
    mine = client.lock()
    e = client.seal({"model": client.model, "prompt": "x"}, lock={**mine, "stack_small_id": lock["stack_small_id"]})
    foreign = refused(lambda: client.post("completions", e))
    e = client.seal({"model": client.model, "prompt": "x"}, lock={**mine, "stack_small_id": 4242})
    unknown = refused(lambda: client.post("completions", e))
    assert foreign.status == unknown.status == 404
    assert without_id(foreign.error) == without_id(unknown.error)
    skip = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}  # the asker's own, one request apart
    assert foreign.headers["ratelimit-limit"] == unknown.headers["ratelimit-limit"]
    assert {k: v for k, v in foreign.headers.items() if k not in skip} == {
        k: v for k, v in unknown.headers.items() if k not in skip}


def test_no_balance_is_402(up):
    user = admin(up, "user.add", name="poor")["user"]
    c = Client(up.url, admin(up, "token.create", user=user, name="t")["token"], up.model)
    r = refused(c.lock)
    assert r.status == 402 and r.error["code"] == "BALANCE_ERROR" and r.error["type"] == "insufficient_quota"
    admin(up, "user.fund", user=user, micro_usd=10_000, reason="test")
    c.lock()
    assert admin(up, "ledger.check")["ok"] is True


def test_two_first_locks_buy_one_stack(up):
    user = admin(up, "user.add", name="twice")["user"]
    admin(up, "user.fund", user=user, micro_usd=1_000_000, reason="test")
    c = Client(up.url, admin(up, "token.create", user=user, name="t")["token"], up.model)
    got = []
    threads = [threading.Thread(target=lambda: got.append(c.lock()["stack_small_id"])) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 8 and len(set(got)) == 1
    assert len(admin(up, "stack.list", user=user)["stacks"]) == 1


def test_lock_expires_by_itself(up, other):
    reserved = lambda: sum(s["reserved"] for s in admin(up, "stack.list", user=other[0])["stacks"])  # noqa: E731
    wait_for("earlier locks to expire", lambda: reserved() == 0)
    other[1].lock(units=1000, timeout=1)
    assert reserved() == 1000
    wait_for("the lock to expire", lambda: reserved() == 0, 5)


def test_revoked_token_is_an_unknown_token(up, other):
    token = admin(up, "token.create", user=other[0], name="short")["token"]
    c = Client(up.url, token, up.model)
    c.json("GET", "/v1/models")
    admin(up, "token.revoke", user=other[0], name="short")
    revoked = refused(lambda: c.json("GET", "/v1/models"))
    unknown = refused(lambda: Client(up.url, "sk-x", up.model).json("GET", "/v1/models"))
    assert revoked.status == 401 and without_id(revoked.error) == without_id(unknown.error)


def test_lock_is_used_up_once(client):
    """The second request of a lock reserves for itself; its own number may lack units."""
    lock = client.lock(units=500)
    for _ in range(2):
        e = client.seal({"model": client.model, "prompt": "x", "max_tokens": 1}, lock=lock)
        client.post("completions", e)


@pytest.fixture(scope="module")
def node(up):
    with ScriptedNode(up, node_id=88, model="limited") as n:
        yield n


def test_concurrency_limit_is_429(up, node):
    assert node.register(node.registration(models=[["limited", 1000, 1, 1 << 20, 100]])) == 200
    c = Client(up.url, up.token, "limited")
    entered, leave = threading.Event(), threading.Event()

    def script(r):
        entered.set()
        assert leave.wait(20)
        r.honest()

    node.script = script
    ask = lambda: c.post("completions", c.seal({"model": "limited", "prompt": "a b"}, model="limited"))  # noqa: E731
    first = threading.Thread(target=ask)
    spare = c.seal({"model": "limited", "prompt": "a b"}, model="limited")
    first.start()
    assert entered.wait(10)
    r = refused(lambda: c.post("completions", spare))
    leave.set()
    first.join()
    assert r.status == 429 and r.error["code"] == "TOO_MANY_REQUESTS" and int(r.headers["retry-after"]) >= 1


def test_cut_on_http2_is_a_reset(up, node):
    node.script = lambda r: r.honest()
    assert node.register(node.registration(models=[["limited", 1000, 100, 1 << 20, 100]])) == 200
    c = Client(up.url, up.token, "limited")
    head = [("authorization", f"Bearer {c.token}"), ("content-type", "application/json")]

    def post():
        e = c.seal({"model": "limited", "prompt": "a b", "stream": True}, stream=True, model="limited")
        return e, h2client.request(c.url.hostname, c.url.port, "POST", PATH, head, json.dumps(e.body).encode())

    e, (status, headers, body) = post()
    events = [json.loads(x[6:]) for x in body.decode().split("\n\n") if x.startswith("data: ")]
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert [o["choices"][0]["text"] for o in e.open(events, "completions")] == ["a", " b", ""]

    def cut(r):
        r.head()
        r.event(r.object("a"))
        time.sleep(0.05)
        return False

    node.script = cut
    with pytest.raises(h2client.Reset) as reset:
        post()
    assert reset.value.head[":status"] == "200" and reset.value.body.startswith(b"data: {")
    assert b"event: error" in reset.value.body  # best effort by contract; on loopback it arrives
