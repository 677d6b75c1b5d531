# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document by the standard's own schema, and what the gateway takes and gives by the document's."""
import base64
import copy
import json
import os
import subprocess

import pytest

from cluster import Up
from sealclient import Client, Refused
from test_sdk import packages  # noqa: F401 - a fixture

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def client():
    with Up() as u:
        yield Client(u.url, u.token, u.model)


@pytest.fixture(scope="module")
def document(client):
    return client.json("GET", "/openapi.json", auth=False)


@pytest.fixture(scope="module")
def wrong(packages):  # noqa: F811
    def check(document, values=()):
        r = subprocess.run(["node", os.path.join(HERE, "openapi.js")], cwd=packages, text=True, capture_output=True,
                           timeout=60, input=json.dumps({"document": document, "values": list(values)}))
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)
    return check


def test_document_is_valid(document, wrong):
    assert wrong(document) == []


@pytest.mark.parametrize("break_it", [
    lambda d: d["info"].pop("title"),
    lambda d: d["paths"]["/health"]["get"]["responses"]["200"].pop("description"),
    lambda d: d["paths"]["/v1/nodes/lock"]["post"]["responses"]["200"]["content"]["application/json"]["schema"].update(
        {"$ref": "#/components/schemas/Nothing"}),
])
def test_a_broken_document_is_not(document, wrong, break_it):
    broken = copy.deepcopy(document)
    break_it(broken)
    assert wrong(broken)


def error_of(client, status, *request, **kw):
    got, _, body = client.request(*request, **kw)
    assert got == status, body
    return "Error", json.loads(body)


def test_what_the_gateway_takes_and_gives_fits(client, document, wrong):
    lock = client.lock()
    whole = client.seal({"model": client.model, "prompt": "one two"}, lock=lock)
    stream = client.seal({"model": client.model, "prompt": "one two three", "stream": True}, stream=True)
    values = [("Lock", lock), ("SealedRequest", whole.body), ("SealedRequest", stream.body),
              ("SealedResponse", client.json("POST", "/v1/confidential/completions", whole.body))]
    values += [("SealedResponse", json.loads(data)) for _, data in client.stream_raw("/v1/confidential/completions", stream.body)]
    assert len(values) > 6
    plain = {"model": client.model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
    values += [("OpenAIRequest", plain), ("OpenAIResponse", client.json("POST", "/v1/chat/completions", plain)),
               ("LockRequest", {"model": client.model, "max_num_tokens": None, "timeout": 5}),
               ("ModelList", client.json("GET", "/v1/models")),
               ("Model", client.json("GET", f"/v1/models/{client.model}")),
               ("OpenRouterModels", client.json("GET", "/v1/open_router/models", auth=False)),
               ("Attestation", client.json("GET", f"/v1/nodes/{lock['node_small_id']}/attestation", auth=False)),
               ("Message", client.json("GET", "/health", auth=False)),
               error_of(client, 404, "GET", "/nothing"),
               error_of(client, 404, "GET", "/v1/models/nobodys"),
               error_of(client, 405, "DELETE", "/health"),
               error_of(client, 401, "GET", "/v1/models", auth=False),
               error_of(client, 415, "POST", "/v1/nodes/lock", b"{}", headers={"content-type": "text/plain"}),
               error_of(client, 400, "POST", "/v1/nodes/lock", {"model": 1}),
               error_of(client, 425, "POST", "/v1/confidential/completions", whole.body)]
    assert wrong(document, values) == []


def test_what_the_gateway_refuses_does_not_fit(client, document, wrong):
    """The document's limits are the gateway's: each of these is 400 with that param, and no SealedRequest."""
    good = client.seal({"model": client.model, "prompt": "x"}).body
    bad = {"ciphertext": "AAAA", "nonce": base64.b64encode(bytes(13)).decode(), "salt": 7, "model_name": "",
           "client_dh_public_key": "A" * 43 + "!", "stack_small_id": 2**53, "stream": "true", "num_compute_units": -1}
    for member, value in bad.items():
        body = dict(good, **{member: value})
        with pytest.raises(Refused) as e:
            client.json("POST", "/v1/confidential/completions", body)
        assert e.value.status == 400 and json.loads(e.value.body)["error"]["param"] == member
        assert len(wrong(document, [("SealedRequest", body)])) == 1, member
    assert wrong(document, [("SealedRequest", good)]) == []
