# SPDX-License-Identifier: Apache-2.0
"""The table of refusals and errors of docs/PROTOCOL.md by real HTTP, on HTTP/1.1 and HTTP/2."""
import base64
import json
import os
import re
import socket
from urllib.parse import quote

import h2.settings
import pytest

import h2client
from scripted_node import ScriptedNode
from sealclient import Refused

COMPLETIONS = "/v1/confidential/completions"
SEALED = [COMPLETIONS, "/v1/confidential/chat/completions", "/v1/confidential/embeddings",
          "/v1/confidential/images/generations"]
TYPES = {400: ("INVALID_BODY", "invalid_request_error"), 401: ("AUTH_ERROR", "authentication_error"),
         404: ("NOT_FOUND", "not_found_error"), 405: ("METHOD_NOT_ALLOWED", "invalid_request_error"),
         413: ("BODY_TOO_LARGE", "invalid_request_error"), 415: ("UNSUPPORTED_MEDIA_TYPE", "invalid_request_error"),
         402: ("BALANCE_ERROR", "insufficient_quota"), 425: ("UNAVAILABLE_STACK", None)}


@pytest.fixture(params=["h1", "h2"])
def send(request, client):
    """send(method, path, body, headers...) -> (status, headers, error object or None, body) on both protocols."""
    def call(method, path, body=None, token=True, content_type="application/json", **headers):
        h = {k.replace("_", "-"): v for k, v in headers.items()}
        if token is True:
            h["authorization"] = f"Bearer {client.token}"
        elif token:
            h["authorization"] = token
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        if data is not None and content_type:
            h["content-type"] = content_type
        if request.param == "h1":
            status, head, got = client.request(method, path, data, h if content_type else {**h, "content-type": content_type},
                                               auth=False)
        else:
            status, head, got = h2client.request(client.url.hostname, client.url.port, method, path, h.items(), data or b"")
        try:
            error = json.loads(got).get("error")
        except (ValueError, AttributeError):
            error = None
        return status, head, error, got
    return call


def refused(answer, status, param=None):
    got, head, error, body = answer
    assert got == status, (got, body[:500])
    assert error, body[:500]
    code, kind = TYPES[status]
    assert error["code"] == code and (kind is None or error["type"] == kind)
    assert error["param"] == param, error
    assert set(error) == {"code", "type", "message", "param", "reason", "request_id"}
    assert error["request_id"] == head["x-request-id"] and error["message"]
    assert head["content-type"].startswith("application/json")
    return error


@pytest.fixture(scope="module")
def good(up):
    from sealclient import Client
    c = Client(up.url, up.token, up.model)
    return c.seal({"model": c.model, "prompt": "x"}).body


def b64(n):
    return base64.b64encode(os.urandom(n)).decode()


STRINGS = ["ciphertext", "nonce", "salt", "client_dh_public_key", "node_dh_public_key", "plaintext_body_hash",
           "model_name"]
SIZES = {"nonce": 12, "salt": 16, "client_dh_public_key": 32, "node_dh_public_key": 32, "plaintext_body_hash": 32}
BAD = [(m, v) for m in STRINGS for v in (None, 1, True, [], {}, ...)]
BAD += [(m, v) for m in STRINGS[:6] for v in ("", "AAA", "AAAA\n", " AAAA", "AA-_", "A===", "AB==", "AAAB=", "\u00e9" * 4)]
BAD += [(m, b64(n + d)) for m, n in SIZES.items() for d in (-1, 1)] + [("ciphertext", b64(15))]
BAD += [(m, base64.b64encode(b"\x01" * 31 + b"\x80").decode()) for m in ("client_dh_public_key", "node_dh_public_key")]
BAD += [("model_name", ""), ("model_name", "m" * 257)]
BAD += [("stack_small_id", v) for v in (None, ..., "1", -1, 1.5, True, 2**53, 10**30, [], {})]
BAD += [("num_compute_units", v) for v in ("1", -1, 1.5, True, 2**53, 10**30, [], {})]
BAD += [("stream", v) for v in (0, 1, "true", [], {})]


@pytest.mark.parametrize("member, value", BAD, ids=lambda v: repr(v)[:30])
def test_members(send, good, member, value):
    body = dict(good)
    if value is ...:
        del body[member]
    else:
        body[member] = value
    refused(send("POST", COMPLETIONS, body), 400, member)


RAW_NUMBERS = [(m, n) for m in ("stack_small_id", "num_compute_units")
               for n in ("1.0", "1e3", "-0", "1E0", "9007199254740992", "99999999999999999999999999999999999999999")]


@pytest.mark.parametrize("member, number", RAW_NUMBERS)
def test_integers_are_digits(send, good, member, number):
    text = json.dumps(dict(good, **{member: "@"})).replace('"@"', number)
    refused(send("POST", COMPLETIONS, text.encode()), 400, member)


def variants(good):
    text = json.dumps(good)
    inner = text[1:-1]
    return {
        "empty": "", "white space": "  \n", "array": "[]", "string": '"x"', "null": "null", "cut": text[:-1],
        "bom": "\ufeff" + text, "behind": text + "x", "two objects": text + text, "comma": text[:-1] + ",}",
        "single quotes": text.replace('"', "'"), "raw newline": "{" + inner + ',"x":"a\nb"}',
        "raw NUL": "{" + inner + ',"x":"a\0b"}', "tab in a name": "{" + inner + ',"x\ty":1}',
        "lone high surrogate": "{" + inner + ',"x":"\\ud800"}', "lone low surrogate": "{" + inner + ',"x":["\\udc00"]}',
        "high high": "{" + inner + ',"x":{"y":"\\ud800\\ud800"}}', "bad escape": "{" + inner + ',"x":"\\x41"}',
        "short escape": "{" + inner + ',"x":"\\u12"}', "leading zero": "{" + inner + ',"x":01}',
        "plus": "{" + inner + ',"x":+1}', "NaN": "{" + inner + ',"x":NaN}', "Infinity": "{" + inner + ',"x":-Infinity}',
        "dot": "{" + inner + ',"x":1.}', "bare exponent": "{" + inner + ',"x":1e}', "TRUE": "{" + inner + ',"x":TRUE}',
        "depth 65": "{" + inner + ',"x":' + "[" * 64 + "]" * 64 + "}", "comment": text + "/* */",
        "deep": "{" + inner + ',"x":' + "[" * 100000 + "]" * 100000 + "}",
    }


@pytest.mark.parametrize("name", list(variants({"a": 1})))
def test_not_strict_json(send, good, name):
    refused(send("POST", COMPLETIONS, variants(good)[name].encode()), 400)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"])
def test_invalid_utf8(send, good, raw):
    refused(send("POST", COMPLETIONS, json.dumps(good)[:-1].encode() + b',"x":"' + raw + b'"}'), 400)


@pytest.mark.parametrize("member", STRINGS + ["stack_small_id", "stream", "num_compute_units"])
@pytest.mark.parametrize("escaped", [False, True])
def test_duplicates(send, good, member, escaped):
    body = dict(good, stream=False, num_compute_units=None)
    name = "".join(f"\\u{ord(c):04x}" for c in member) if escaped else member
    text = json.dumps(body)[:-1] + f',"{name}":' + json.dumps(body[member]) + "}"
    refused(send("POST", COMPLETIONS, text.encode()), 400, member)


def test_good_forms_pass(client):
    """What the strictness must not refuse: escapes, nesting of 64, unknown duplicates, nulls, white space."""
    for change in (lambda t: t.replace("model_name", "mod\\u0065l_name"), lambda t: " \n\t\r" + t + "\n ",
                   lambda t: t[:-1] + ',"x":' + "[" * 63 + "]" * 63 + ',"d":1,"d":2,"s":"\\ud83d\\ude00"}',
                   lambda t: t[:-1] + ',"num_compute_units":null,"stream":null}',
                   lambda t: t[:-1] + ',"n":[-0,1.5e-7,1E400,99999999999999999999]}'):
        e = client.seal({"model": client.model, "prompt": "x", "max_tokens": 1})
        text = change(json.dumps(e.body)).encode()
        answer = client.json("POST", COMPLETIONS, text)
        assert e.open([answer], "completions")[0]["choices"][0]["text"] == "x"


AUTHORIZATIONS = ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "bearer\tx", "sk-x", "Bearer sk-unknown",
                  "Bearer " + "x" * 5000]


@pytest.mark.parametrize("value", AUTHORIZATIONS, ids=lambda v: v[:20])
@pytest.mark.parametrize("path", SEALED)
def test_authorization(send, good, path, value):
    body = dict(good)
    error = refused(send("POST", path, body, token=value), 401)
    other = refused(send("POST", path, body, token="Bearer sk-another"), 401)
    assert error["message"] == other["message"]


def test_scheme_is_case_insensitive(send, client):
    status, _, _, body = send("GET", "/v1/models", token=f"bEARER {client.token}")
    assert status == 200 and json.loads(body)["object"] == "list"


def test_order_of_refusals(send):
    big = b"x" * (16 * 1024 * 1024 + 1)
    refused(send("POST", "/v1/nothing", big, token="", content_type="text/plain"), 404)
    refused(send("GET", COMPLETIONS, token=""), 405)
    refused(send("POST", COMPLETIONS, big, token="", content_type="text/plain"), 401)
    refused(send("POST", COMPLETIONS, big, token="Bearer sk-x", content_type="text/plain"), 415)
    refused(send("POST", COMPLETIONS, big, token="Bearer sk-x"), 413)
    refused(send("POST", COMPLETIONS, b"{}", token="Bearer sk-x"), 400, "ciphertext")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", None])
def test_media_type(send, good, content_type):
    refused(send("POST", COMPLETIONS, dict(good), content_type=content_type), 415)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"])
def test_media_type_parameters(send, content_type):
    refused(send("POST", COMPLETIONS, b"{}", content_type=content_type), 400, "ciphertext")


@pytest.mark.parametrize("path", SEALED + ["/v1/nodes/lock", "/v1/nodes", "/v1/models", "/v1/models/demo",
                                           "/v1/open_router/models", "/health"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "POST"])
def test_methods(send, path, method):
    allowed = "GET" if path in ("/v1/models", "/v1/models/demo", "/v1/open_router/models", "/health") else "POST"
    if method == allowed:
        return
    answer = send(method, path, b"{}" if method != "GET" else None)
    refused(answer, 405)
    assert allowed in answer[1]["allow"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/demo", "/v1/models/nobodys", "/v1/open_router/models", "/health",
                                  "/openapi.json", "/docs", "/v1/nodes/424242/attestation"])
def test_head_is_get_without_the_body(send, path):
    """Health checks of proxies and monitors ask so."""
    status, head, _, body = send("GET", path)
    asked, without, _, nothing = send("HEAD", path)
    assert (asked, nothing) == (status, b"") and body
    for name in ("content-length", "content-type", "access-control-allow-origin"):
        assert without[name] == head[name]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/confidential", COMPLETIONS + "/", COMPLETIONS + "x", "/v1/nodes/1",
                                  "/v1/nodes/lock/x", "/V1/models", "/v1/nodes/1/attestation/x", "/v1/nodes/x/attestation",
                                  "/v1/nodes/99999999999999999999/attestation", "/v1/nodes/424242/attestation",
                                  # none is another spelling of a path: a proxy in front reads them so, too
                                  "/v1/./models", "/x/../v1/models", "/v1/%6dodels", "/v1/x%2f..%2fmodels", "/v1//models", "//v1/models",
                                  "/v1/models/../models", "/v1/models/%2e%2e/models", "/v1/models%2Fdemo", "/v1/./models/demo"])
def test_unknown_paths(send, path):
    refused(send("GET", path), 404)


def test_over_the_limit(send):
    body = json.dumps({"ciphertext": "A" * (17 * 1024 * 1024)}).encode()
    refused(send("POST", COMPLETIONS, body), 413)


LOCKS = [({}, "model"), ({"model": 1}, "model"), ({"model": ""}, "model"), ({"model": "m" * 257}, "model")]
LOCKS += [({"model": "demo", "timeout": v}, "timeout") for v in (0, 601, -1, 1.5, "5", True, 10**30)]
LOCKS += [({"model": "demo", "max_num_tokens": v}, "max_num_tokens") for v in (0, -1, 2**53, 1.5, "5", 10**30, [])]


@pytest.mark.parametrize("body, member", LOCKS, ids=lambda v: str(v)[:40])
def test_lock_bodies(send, body, member):
    refused(send("POST", "/v1/nodes/lock", body), 400, member)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model":"demo","model":"x"}', '{"model":"demo"}x', '{"model":"\\ud800"}'])
def test_lock_json(send, text):
    got = send("POST", "/v1/nodes/lock", text.encode())
    assert got[0] == 400 and got[2]["code"] == "INVALID_BODY"


def test_lock_for_an_unknown_model(send):
    status, head, error, _ = send("POST", "/v1/nodes/lock", {"model": "no-such-model"})
    assert status == 503 and error["code"] == "SERVICE_UNAVAILABLE" and int(head["retry-after"]) >= 1


def test_stack_of_nobody(send, good):
    refused(send("POST", COMPLETIONS, dict(good, stack_small_id=2**53 - 1)), 404)
    refused(send("POST", COMPLETIONS, dict(good, model_name="another")), 404)


def test_key_of_nobody(send, good):
    key = base64.b64encode(os.urandom(31) + b"\x01").decode()
    assert refused(send("POST", COMPLETIONS, dict(good, node_dh_public_key=key)), 425)["reason"] == "key_unknown"


@pytest.mark.parametrize("path", SEALED[2:])
def test_never_streamed(send, good, path):
    refused(send("POST", path, dict(good, stream=True)), 400, "stream")


@pytest.mark.parametrize("size", [0, 50, 4096, 65536])
def test_header_tables_of_clients(client, size):
    """python3-hpack refuses fields that were compressed with a larger table than it allows (RFC 7541 4.2)."""
    status, head, body = h2client.request(client.url.hostname, client.url.port, "GET", "/health",
                                          settings={h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})
    assert status == 200 and json.loads(body) == {"message": "ok"} and head["content-type"] == "application/json"


def test_request_ids(send, good):
    assert send("GET", "/health", token="", x_request_id="my-id.1!~")[1]["x-request-id"] == "my-id.1!~"
    for bad in ("x" * 129, "a b"):
        assert re.fullmatch("[0-9a-f]{32}", send("GET", "/health", token="", x_request_id=bad)[1]["x-request-id"])
    assert send("GET", "/health", token="", x_request_id="\x7f")[1].get("x-request-id") != "\x7f"  # broken head
    seen = {refused(send("POST", COMPLETIONS, b"{}"), 400, "ciphertext")["request_id"] for _ in range(3)}
    assert len(seen) == 3 and all(re.fullmatch("[0-9a-f]{32}", s) for s in seen)


def test_cors(send):
    status, head, _, _ = send("OPTIONS", COMPLETIONS, token="", origin="https://app.example",
                              access_control_request_method="POST", access_control_request_headers="authorization,x-y")
    assert status in (200, 204) and head["access-control-allow-origin"] in ("*", "https://app.example")
    assert {"GET", "POST", "OPTIONS"} <= set(re.split(", *", head["access-control-allow-methods"]))
    wanted = {h.strip().lower() for h in head["access-control-allow-headers"].split(",")}
    assert "*" in wanted and "authorization" in wanted or {"authorization", "x-y"} <= wanted
    answer = send("POST", COMPLETIONS, b"{}", origin="https://app.example")
    assert answer[1]["access-control-allow-origin"] in ("*", "https://app.example")


def test_models_and_attestation(send, client):
    models = json.loads(send("GET", "/v1/models")[3])
    assert client.model in [m["id"] for m in models["data"]]
    assert all(m["object"] == "model" and isinstance(m["created"], int) and m["owned_by"] for m in models["data"])
    refused(send("GET", "/v1/models", token=""), 401)
    lock = client.lock()
    status, _, _, body = send("GET", f"/v1/nodes/{lock['node_small_id']}/attestation", token="")
    answer = json.loads(body)
    assert status == 200 and answer["key_statement"] and answer["node_signing_key"] == lock["node_signing_key"]
    for unknown in ("2", "0", str(2**53 - 1), str(2**53), "01", "-1", "1e0"):
        refused(send("GET", f"/v1/nodes/{unknown}/attestation", token=""), 404)


NAMES = ["meta-llama/Llama-3.3-70B-Instruct", 'ü "/..//a%2Fb+c?d#e']


@pytest.fixture(scope="module")
def named(up):
    nodes = [ScriptedNode(up, 60 + i, name) for i, name in enumerate(NAMES)]
    yield NAMES
    for n in nodes:
        up.cli("node", "remove", str(n.id), "--dir", up.dir)
        n.close()


def test_one_model(send, client, named):
    """As the list holds it, whether slashes in the name are escaped or not; nothing else of the name is read."""
    models = {m["id"]: m for m in json.loads(send("GET", "/v1/models")[3])["data"]}
    for name in (client.model, *named):
        for path in {quote(name, safe=""), quote(name, safe="/"), "".join(f"%{b:02x}" for b in name.encode())}:
            for query in ("", "?x=/y"):
                status, head, _, body = send("GET", "/v1/models/" + path + query)
                assert status == 200 and json.loads(body) == models[name], path
                assert head["content-type"] == "application/json"
    refused(send("GET", f"/v1/models/{client.model}", token=""), 401)
    refused(send("GET", f"/v1/models/{client.model}", token="Bearer sk-unknown"), 401)
    refused(send("GET", "/v1/models/nobodys", token=""), 401)


def test_no_such_model(send, client):
    def shown(path):
        error = refused(send("GET", "/v1/models/" + path), 404)
        return {k: v for k, v in error.items() if k != "request_id"}

    nothing = shown("nobodys")
    for path in ("", "?x", "%", "a%4", "a%zz", "%00", client.model + "%00", client.model + "/", "/" + client.model, "..", "../health",
                 "%2e%2e%2fhealth", "./" + client.model, client.model.upper(), "m" * 256, "m" * 257, "%6d" * 257,
                 "a%0d%0aSet-Cookie:%20x=y", "%ff", quote(quote(NAMES[0], safe=""), safe="")):
        assert shown(path) == nothing, path


def test_open_router_models(send, client):
    """The shape of OpenRouter's Models API; anyone may read it, a wrong token included."""
    for token in ("", "not-a-token"):
        status, head, _, body = send("GET", "/v1/open_router/models", token=token)
        assert status == 200 and head["content-type"].startswith("application/json")
        answer = json.loads(body)
        assert set(answer) == {"data"}
        m = next(m for m in answer["data"] if m["id"] == client.model)
        assert m["name"] == m["canonical_slug"] == client.model and isinstance(m["created"], int)
        assert isinstance(m["description"], str) and m["context_length"] == m["top_provider"]["context_length"] > 0
        assert set(m["architecture"]) == {"modality", "input_modalities", "output_modalities", "tokenizer",
                                          "instruct_type"}
        assert all(isinstance(p, str) and float(p) >= 0 for p in m["pricing"].values())
        assert float(m["pricing"]["prompt"]) == float(m["pricing"]["completion"]) > 0
        assert m["top_provider"]["is_moderated"] is False and m["per_request_limits"] is None
        assert m["supported_parameters"] == []


def test_http_1_0(client):
    e = client.seal({"model": client.model, "prompt": "x", "stream": True, "max_tokens": 1}, stream=True)
    for stream, expect in ((True, b"400"), (False, b"400")):
        body = json.dumps(dict(e.body, stream=stream)).encode()
        with socket.create_connection((client.url.hostname, client.url.port), timeout=10) as s:
            s.sendall(b"POST %s HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % (COMPLETIONS.encode(), client.token.encode(), len(body)) + body)
            head = s.makefile("rb").readline()
            assert head.split()[1] == expect  # without stream the sealed flag differs, which the node refuses


def test_health_needs_a_broker(send):
    status, _, _, body = send("GET", "/health", token="")
    assert status == 200 and json.loads(body) == {"message": "ok"}


def test_num_compute_units_over_the_stack(client):
    e = client.seal({"model": client.model, "prompt": "x"}, units=2**53 - 1, lock=client.lock())
    with pytest.raises(Refused) as r:
        client.post("completions", e)
    assert r.value.status == 425 and r.value.error["reason"] == "insufficient_units"
