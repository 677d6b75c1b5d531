# SPDX-License-Identifier: Apache-2.0
"""GET /openapi.json and GET /docs: there for anybody, and the document names what the gateway serves and nothing else.

What the document says of bodies is checked in tests/npm/test_openapi.py.
"""
import base64
import hashlib
import html.parser
import json
import os
import re
import socket
import subprocess
import time

import h2.config
import h2.connection
import pytest

import h2client
from cluster import SLOW, rss_kb
from sealclient import Client

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
METHODS = ["GET", "POST", "PUT", "DELETE"]


@pytest.fixture(scope="module")
def document(up):
    return Client(up.url, up.token).json("GET", "/openapi.json", auth=False)


@pytest.mark.parametrize("path, kind", [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")])
def test_anybody_gets_it_on_both_protocols(client, path, kind):
    one = client.request("GET", path, auth=False)
    two = h2client.request(client.url.hostname, client.url.port, "GET", path)
    for status, head, body in (one, two):
        assert status == 200 and head["content-type"] == kind and len(body) > 10000
        assert head["x-content-type-options"] == "nosniff" and head["access-control-allow-origin"] == "*"
        assert head["x-request-id"] and head["cache-control"].startswith("public")
    assert one[2] == two[2]
    status, head, body = client.request("POST", path, b"{}")
    assert status == 405 and head["allow"] == "GET, HEAD, OPTIONS"
    assert client.request("OPTIONS", path, auth=False)[0] == 204


def test_every_route_is_documented(document):
    with open(os.path.join(ROOT, "gateway", "routes.h")) as f:
        routes = set(re.findall(r'X\((ROUTE_\w+), "(\w+)", "([^"]*)"', f.read().replace("\\\n", " ")))
    patterns = {"ROUTE_ATTESTATION": "/v1/nodes/{node_small_id}/attestation", "ROUTE_MODEL": "/v1/models/{model}"}
    assert len(routes) > 12 and {i for i, _, p in routes if not p} == set(patterns)
    routes = {(m, p or patterns[i]) for i, m, p in routes}
    assert {(m.upper(), p) for p, item in document["paths"].items() for m in item} == routes


def real_path(path):
    return path.replace("{node_small_id}", "1").replace("{model}", "demo")


def test_what_is_documented_is_served(client, document):
    for path, item in document["paths"].items():
        real = real_path(path)
        for method in METHODS:
            status, head, body = client.request(method, real, b"{}" if method != "GET" else None)
            if method.lower() in item:
                assert status in (200, 400), (method, path, status)
                assert str(status) in item[method.lower()]["responses"], (method, path, status)
            else:
                assert status == 405, (method, path, status)


def test_tokens_are_needed_where_it_says_so(client, document):
    for path, item in document["paths"].items():
        for method, o in item.items():
            status, _, _ = client.request(method.upper(), real_path(path),
                                          b"{}" if method == "post" else None, auth=False)
            assert (status == 401) == bool(o["security"]), (method, path, status)
            assert bool(o["security"]) <= ("401" in o["responses"])


def test_version_is_the_programs(up, document):
    said = up.cli("--version").stdout.decode()
    assert document["info"]["version"] in said.split(), said
    assert document["openapi"].startswith("3.1.")


class Page(html.parser.HTMLParser):
    """Ids, links, text and what would be loaded or run."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.active, self.words, self.style, self.inside = set(), [], [], "", "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.inside = tag
        self.ids.add(a.get("id"))
        if tag == "a":
            self.links.append(a["href"])
        if tag in ("script", "img", "iframe", "link", "object", "form", "base") or any(k.startswith("on") or k in ("src", "style") for k in a):
            self.active.append(tag)

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "style":
            self.style += data
        else:
            self.words += data


def test_page_shows_the_document_and_nothing_else(client, document):
    status, head, body = client.request("GET", "/docs", auth=False)
    page = Page(body.decode())
    assert page.active == []
    assert {h[1:] for h in page.links if h.startswith("#")} <= page.ids
    assert [h for h in page.links if not h.startswith("#")] == ["openapi.json"]
    policy = head["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()}'" in policy
    assert head["referrer-policy"] == "no-referrer"
    for path, item in document["paths"].items():
        for o in item.values():
            assert path in page.words and o["operationId"] in page.ids and o["description"] in page.words
    for schema in ("SealedRequest", "Lock"):
        for name, m in document["components"]["schemas"][schema]["properties"].items():
            assert name in page.words and m["description"] in page.words


def test_document_is_the_one_of_the_source(document):
    with open(os.path.join(ROOT, "gateway", "openapi", "openapi.json")) as f:
        source = json.load(f)
    source["info"]["version"] = document["info"]["version"]
    assert document == source


@pytest.mark.parametrize("change, why", [
    (lambda d: d["paths"]["/health"]["get"]["responses"].update({"503": {"$ref": "#/components/responses/E999"}}), "leads nowhere"),
    (lambda d: d["paths"]["/health"]["get"]["responses"].update({"503": {"$ref": "other.json#/x"}}), "not in this document"),
])
def test_a_reference_to_nowhere_ends_the_build(tmp_path, change, why):
    with open(os.path.join(ROOT, "gateway", "openapi", "openapi.json")) as f:
        d = json.load(f)
    change(d)
    (tmp_path / "broken.json").write_text(json.dumps(d))
    r = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "gateway", "openapi", "render.py"), tmp_path / "broken.json", "1",
                        tmp_path / "out.c"], capture_output=True, text=True, timeout=30)
    assert r.returncode != 0 and why in r.stderr and not (tmp_path / "out.c").exists()


CONNECTIONS, STREAMS = 20, 100


def ask_and_never_read(client, paths):
    """An HTTP/2 connection with a stream for each path, whose answers stay where they are."""
    s = socket.create_connection((client.url.hostname, client.url.port), timeout=30)
    c = h2.connection.H2Connection(config=h2.config.H2Configuration(header_encoding="utf-8"))
    c.initiate_connection()
    for i, path in enumerate(paths):
        c.send_headers(1 + 2 * i, [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "x")], end_stream=True)
    s.sendall(c.data_to_send())
    return s


def test_clients_that_do_not_read_cost_no_memory(up, client):
    """The answers are the program's own bytes: 2,000 of them that wait hold no copies (110 MB they would be)."""
    (pid,) = up.pids["gateway"]
    client.request("GET", "/docs", auth=False)
    before = rss_kb(pid)
    held = [ask_and_never_read(client, ["/docs", "/openapi.json"] * (STREAMS // 2)) for _ in range(CONNECTIONS)]
    try:
        time.sleep(1)
        assert client.request("GET", "/docs", auth=False)[0] == 200
        grown = rss_kb(pid) - before
        print(f"  the gateway grew by {grown // 1024} MB")
        assert grown < 40000 * SLOW
    finally:
        for s in held:
            s.close()
