# SPDX-License-Identifier: Apache-2.0
"""Plain requests at a node of the original network: no receipts, billed by its signed usage where that is allowed."""
import pytest

from cluster import wait_for
from parts import Parts, get
from scripted_node import Request, ScriptedNode
from sealclient import Client, Cut, Refused
from test_plain import CHAT, body, content, refused, settled, stream


@pytest.fixture(scope="module")
def system():
    with Parts() as p:
        p.start("broker", "--accept-unsigned-usage")
        p.start("worker")
        p.start("gateway")
        p.operate()
        for part in (p.broker, p.worker, p.gateway):
            wait_for("all to be ready", lambda: get(part.ready()["admin"], "/ready")[0] == 200)  # noqa: B023
        p.admin_socket = p.dir + "/admin.sock"
        with ScriptedNode(p, 79, "foreign", original=True) as n:
            yield p, n


@pytest.fixture
def client(system):
    return Client(system[0].url, system[0].token, "foreign")


@pytest.fixture
def foreign(system):
    n = system[1]
    n.script = Request.honest
    n.errors.clear()
    yield n
    assert not n.errors, n.errors


def foreign_body(**more):
    return body(**more) | {"model": "foreign"}


@pytest.mark.parametrize("streamed", [False, True])
def test_foreign_node_is_billed_by_its_usage(system, foreign, client, streamed):
    before = settled(system, "foreign")
    if streamed:
        assert content(stream(client, body=foreign_body(stream=True))) == "one two three"
    else:
        assert client.json("POST", CHAT, foreign_body())["choices"]
    assert settled(system, "foreign") - before == 6


def test_foreign_node_without_usage_costs_nothing(system, foreign, client):
    before = settled(system, "foreign")
    foreign.script = lambda r: r.whole(200, r.plain_object(r.piece("x", "stop")).encode())
    assert client.json("POST", CHAT, foreign_body())["choices"]
    assert settled(system, "foreign") == before


def test_foreign_node_must_sign_and_end(system, foreign, client):
    def no_done(r):
        r.head()
        r.plain_text(r.plain_object(r.piece("x", "stop")))
        r.plain_text(r.plain_object(r.usage_piece(), (1, 1)))
        r.end()

    foreign.script = no_done
    with pytest.raises(Cut):
        stream(client, body=foreign_body(stream=True))
    foreign.script = lambda r: r.whole(200, r.plain_object(r.piece("x", "stop"), (1, 1), signature=...).encode())
    refused(client, 500, "INTERNAL_ERROR", body=foreign_body())


def test_foreign_images_cost_their_pixels(system, foreign, client):
    before = settled(system, "foreign")
    ask = {"model": "foreign", "prompt": "a cat", "size": "10x20"}
    assert client.json("POST", "/v1/images/generations", ask)["data"]
    assert settled(system, "foreign") - before == 200
