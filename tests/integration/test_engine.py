# SPDX-License-Identifier: Apache-2.0
"""A scripted inference engine behind our node: what real engines do, and what broken ones do."""
import base64
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cluster import Up, wait_for
from scripted_node import admin
from sealclient import Client, Cut, Refused, text_of

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 60).decode()


class Engine(ThreadingHTTPServer):
    """An OpenAI-compatible server that does what engine.script says."""
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.script, self.seen, self.gone, self.model = None, [], threading.Event(), {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        self.gone.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.whole({"object": "list", "data": [{"id": "demo", "object": "model", **self.server.model}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, body))
        try:
            self.server.script(self, body)
        except OSError:
            self.server.gone.set()
            self.close_connection = True

    def whole(self, o, status=200):
        data = o if isinstance(o, bytes) else json.dumps(o).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, pieces, end=True):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for p in pieces:
            p = p.encode() if isinstance(p, str) else p
            self.wfile.write(b"%x\r\n%s\r\n" % (len(p), p))
            self.wfile.flush()
        if end:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True


def chat(delta, finish=None, **more):
    return {"id": "engine-id", "object": "chat.completion.chunk", "created": 1700000000, "model": "whatever",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def sse(*objects, nl="\n"):
    return "".join(f"data: {o if isinstance(o, str) else json.dumps(o, ensure_ascii=False)}{nl}{nl}" for o in objects)


FULL = [chat({"role": "assistant", "content": ""}), chat({"content": "grüß"}), chat({"content": " dich 世界"}),
        chat({}, "stop"), {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                           "usage": usage(7, 5)}, "[DONE]"]


@pytest.fixture(scope="module")
def system():
    engine = Engine()
    with Up("--engine", engine.url) as u:
        yield u, engine
    engine.shutdown()


@pytest.fixture
def engine(system):
    system[1].seen.clear()
    system[1].gone.clear()
    return system[1]


@pytest.fixture
def client(system):
    return Client(system[0].url, system[0].token, system[0].model)


def ask(client, stream=True, **more):
    plain = {"model": client.model, "messages": [{"role": "user", "content": "hello there"}], "stream": stream, **more}
    e = client.seal(plain, stream=stream)
    return e, (client.post_stream("chat/completions", e) if stream else client.post("chat/completions", e))


def test_ordinary_stream(system, engine, client):
    engine.script = lambda h, body: h.stream([sse(o) for o in FULL])
    e, chunks = ask(client, sealway_blind="x" * 40, temperature=0.5)
    assert text_of(chunks) == "grüß dich 世界" and (e.prompt, e.completion) == (7, 5)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop" and len(chunks[-1]["choices"]) == 1
    assert all(c["id"] != "engine-id" and c["model"] == client.model for c in chunks)
    path, body = engine.seen[-1]
    assert path == "/v1/chat/completions" and body["temperature"] == 0.5
    assert "sealway_blind" not in body and body["stream_options"]["include_usage"] is True
    assert body.get("max_tokens", body.get("max_completion_tokens")) <= 8192


@pytest.mark.parametrize("how", ["crlf", "cr", "bytes", "one packet", "usage null", "no done"])
def test_every_way_to_stream(system, engine, client, how):
    objects = [dict(o, usage=None) if how == "usage null" and isinstance(o, dict) and "usage" not in o else o for o in FULL]
    if how == "no done":
        objects.pop()
    text = sse(*objects, nl={"crlf": "\r\n", "cr": "\r"}.get(how, "\n")).encode()
    engine.script = lambda h, body: h.stream([text[i:i + 1] for i in range(len(text))] if how == "bytes" else [text])
    e, chunks = ask(client)
    assert text_of(chunks) == "grüß dich 世界" and (e.prompt, e.completion) == (7, 5)


def test_what_else_an_engine_says(system, engine, client):
    """Members of objects and choices that we know nothing of, of every chunk and of the end."""
    end = {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": 128009}
    pieces = [chat({"role": "assistant", "content": ""}, prompt_token_ids=[1, 2]),
              chat({"content": "hi", "reasoning_content": "hm", "refusal": None}, system_fingerprint="b1"),
              chat({}, system_fingerprint="b1") | {"choices": [end]},
              {"id": "x", "choices": [], "usage": usage(7, 5), "system_fingerprint": "b1", "timings": {"n": 1}}, "[DONE]"]
    engine.script = lambda h, body: h.stream([sse(o) for o in pieces])
    _, chunks = ask(client, stream_options={"include_usage": True})
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "hi", "reasoning_content": "hm", "refusal": None}
    assert [c.get("system_fingerprint") for c in chunks] == ["b1"] * 3 and "prompt_token_ids" not in chunks[0]
    assert chunks[1]["choices"][0]["stop_reason"] == 128009 and chunks[1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[2]["timings"] == {"n": 1} and chunks[2]["choices"] == [] and chunks[2]["usage"]["total_tokens"] == 12


def test_include_usage_only_when_asked(system, engine, client):
    engine.script = lambda h, body: h.stream([sse(*FULL)])
    e, chunks = ask(client, stream_options={"include_usage": True})
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] == 12


def test_tool_calls_pass(system, engine, client):
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":"}}
    engine.script = lambda h, body: h.stream([sse(chat({"role": "assistant", "content": None, "tool_calls": [call]}),
                                                  chat({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
                                                  chat({}, "tool_calls"), dict(FULL[4]), "[DONE]")])
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    _, chunks = ask(client, tools=tools)
    calls = [c["choices"][0]["delta"]["tool_calls"][0] for c in chunks if c["choices"][0]["delta"].get("tool_calls")]
    assert "".join(c["function"]["arguments"] for c in calls) == '{"a":1}' and calls[0]["id"] == "c1"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls" and engine.seen[-1][1]["tools"] == tools


def test_no_usage_at_all(system, engine, client):
    engine.script = lambda h, body: h.stream([sse(*FULL[:4], "[DONE]")])
    e, chunks = ask(client)
    assert text_of(chunks) == "grüß dich 世界" and 0 < e.prompt + e.completion <= 8192


@pytest.mark.parametrize("bad", [sse({"error": {"message": "out of memory SECRET"}}), "data: nonsense\n\n", sse([]), sse("{}{}")])
def test_error_in_the_stream(system, engine, client, bad):
    engine.script = lambda h, body: h.stream([sse(*FULL[:2]), bad])
    with pytest.raises(Cut) as c:
        ask(client)
    assert c.value.events[-1][0] == "error" and "SECRET" not in c.value.events[-1][1]


def test_engine_dies_in_the_stream(system, engine, client):
    engine.script = lambda h, body: h.stream([sse(*FULL[:3])], end=False)
    with pytest.raises(Cut):
        ask(client)


@pytest.mark.parametrize("status, expect", [(400, 400), (401, 500), (404, 500), (429, 429), (500, 500), (503, 503)])
@pytest.mark.parametrize("stream", [True, False])
def test_engine_refuses(system, engine, client, status, expect, stream):
    engine.script = lambda h, body: h.whole({"error": {"message": "engine's own words"}}, status)
    with pytest.raises(Refused) as r:
        ask(client, stream)
    assert r.value.status == expect and b"own words" not in r.value.body


def test_one_users_failures_take_the_node_from_nobody(system, engine, client):
    """The engine answers 500 to what it does not support, as llama.cpp does; it does the rest."""
    def script(h, body):
        if "tools" in body:
            h.whole({"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}}, 500)
        else:
            h.whole({"choices": [{"message": {"content": "hi"}}], "usage": usage(1, 1)})

    engine.script = script
    for _ in range(7):
        with pytest.raises(Refused) as r:
            ask(client, stream=False, tools=[{"type": "function", "function": {"name": "f"}}])
        assert r.value.status == 500 and r.value.error["reason"] == "engine_failed"
    assert text_of([ask(client, stream=False)[1]]) == "hi"


def test_one_users_failures_in_the_stream(system, engine, client):
    """llama.cpp without context shift fails in mid-stream once the context is full."""
    def script(h, body):
        h.stream([sse(*FULL[:3])] + ([sse("[DONE]")] if body["max_tokens"] < 7 else ['error: {"code":500}\n\n', sse("[DONE]")]))

    engine.script = script
    for _ in range(7):
        with pytest.raises(Cut) as c:
            ask(client, max_tokens=7)
        assert c.value.events[-1][0] == "error" and "engine_failed" in c.value.events[-1][1]
    e, chunks = ask(client, max_tokens=6)
    assert text_of(chunks) == "grüß dich 世界"
    wait_for("all to be settled", lambda: all(s["reserved"] == 0 for s in admin(system[0], "stack.list")["stacks"]))


@pytest.mark.parametrize("code, status", [(400, 400), (500, 500)])
def test_an_engine_that_refuses_in_the_stream(system, engine, client, code, status):
    """As llama.cpp does: the error is a field of its own, and [DONE] follows."""
    engine.script = lambda h, body: h.stream([f'error: {{"code":{code},"message":"prompt too long SECRET"}}\n\n', sse("[DONE]")])
    with pytest.raises(Refused) as r:
        ask(client)
    assert r.value.status == status and b"SECRET" not in r.value.body


def test_whole_answer(system, engine, client):
    engine.script = lambda h, body: h.whole({
        "id": "e", "object": "chat.completion", "created": 1700000000.7, "model": "m", "usage": usage(4, 2),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi 世界"}, "finish_reason": "stop"}]})
    e, o = ask(client, stream=False)
    assert text_of([o]) == "hi 世界" and (e.prompt, e.completion) == (4, 2) and isinstance(o["created"], int)
    assert not engine.seen[-1][1].get("stream")


def test_usage_over_the_reservation(system, engine, client):
    engine.script = lambda h, body: h.whole({
        "id": "e", "object": "chat.completion", "created": 1, "model": "m", "usage": usage(4, 10**6),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]})
    e, _ = ask(client, stream=False)
    stacks = admin(system[0], "stack.list")["stacks"]
    assert all(s["spent"] <= s["bought"] for s in stacks)


def test_limits_under_other_names(system, engine, client):
    """Servers' own words for max_tokens do not reach them, and those that know one name of it find it."""
    engine.script = lambda h, body: h.stream([sse(o) for o in FULL])
    ask(client, max_completion_tokens=7, n_predict=10**6, n_cmpl=5)
    body = engine.seen[-1][1]
    assert body["max_tokens"] == body["max_completion_tokens"] == 7 and not {"n_predict", "n_cmpl"} & set(body)


def test_an_engine_that_does_not_keep_to_the_limit(system, engine, client):
    def endless():
        while True:
            yield sse(chat({"content": " verylong"}))

    engine.script = lambda h, body: h.stream(endless())
    e, chunks = ask(client, max_tokens=5)
    assert len(text_of(chunks).split()) == 5 + 5 // 4 + 16 and e.completion == 5
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert engine.gone.wait(10)


def test_an_engine_that_closes_the_connection_as_it_is_used_again(system, engine, client):
    def script(h, body):
        if getattr(h, "used", False):
            h.close_connection = True
            return
        h.used = True
        h.whole({"choices": [{"message": {"content": "hi"}}], "usage": usage(1, 1)})

    engine.script = script
    for _ in range(3):
        assert text_of([ask(client, stream=False)[1]]) == "hi"
    assert len(engine.seen) == 5  # the second and the third were asked anew


def test_very_slow_engine(system, engine, client):
    def script(h, body):
        def pieces():
            for o in FULL:
                time.sleep(0.4)
                yield sse(o)
        h.stream(pieces())

    engine.script = script
    times = []
    e = client.seal({"model": client.model, "messages": [{"role": "user", "content": "x"}], "stream": True}, stream=True)
    chunks = client.post_stream("chat/completions", e, lambda *_: times.append(time.time()))
    assert text_of(chunks) == "grüß dich 世界" and times[-1] - times[0] > 0.7


def test_client_gone_stops_the_engine(system, engine, client):
    def script(h, body):
        def pieces():
            yield sse(FULL[0])
            for _ in range(2000):
                yield sse(chat({"content": " x"}))
                time.sleep(0.01)
        h.stream(pieces())

    engine.script = script
    e = client.seal({"model": client.model, "messages": [{"role": "user", "content": "x"}], "stream": True}, stream=True)
    c = client.connect()
    c.request("POST", "/v1/confidential/chat/completions", json.dumps(e.body).encode(),
              {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"})
    r = c.getresponse()
    r.readline()
    c.sock.close()
    r.close()
    assert engine.gone.wait(10)
    wait_for("the stopped request to be settled", lambda: all(s["reserved"] == 0 for s in admin(system[0], "stack.list")["stacks"]))


@pytest.mark.parametrize("form", ["floats", "base64"])
def test_embeddings(system, engine, client, form):
    vector = [0.5, -0.25, 1.0]
    value = vector if form == "floats" else base64.b64encode(struct.pack("<3f", *vector)).decode()
    engine.script = lambda h, body: h.whole({"object": "list", "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3},
                                             "data": [{"object": "embedding", "index": 0, "embedding": value}]})
    e = client.seal({"model": client.model, "input": "some text here"})
    o = client.post("embeddings", e)
    assert o["data"][0]["embedding"] == vector and e.prompt == 3 and e.completion == 0


def test_clients_that_leave_embeddings_take_the_node_from_nobody(system, engine, client):
    """The node has nothing to answer with once it is told to stop, and says 500; that is no failure."""
    def script(h, body):
        if "slow" in body["input"]:
            h.server.gone.wait(10)
        h.whole({"object": "list", "usage": {"prompt_tokens": 1, "total_tokens": 1},
                 "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]})

    engine.script = script
    for n in range(6):
        e = client.seal({"model": client.model, "input": "slow"})
        c = client.connect()
        c.request("POST", "/v1/confidential/embeddings", json.dumps(e.body).encode(),
                  {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"})
        wait_for("the engine to be asked", lambda: len(engine.seen) == n + 1)
        c.sock.close()
        wait_for("the request to be settled", lambda: all(s["reserved"] == 0 for s in admin(system[0], "stack.list")["stacks"]))
    engine.gone.set()
    assert client.post("embeddings", client.seal({"model": client.model, "input": "x"}))["data"][0]["embedding"] == [1.0]


@pytest.mark.parametrize("asked", ["url", "b64_json"])
def test_images(system, engine, client, asked):
    engine.script = lambda h, body: h.whole({"created": 1700000000, "data": [{"b64_json": PNG}]})
    e = client.seal({"model": client.model, "prompt": "x", "size": "32x32", "response_format": asked})
    o = client.post("images/generations", e)
    assert o["data"][0]["url"] == "data:image/png;base64," + PNG and ("b64_json" in o["data"][0]) == (asked == "b64_json")
    assert (e.prompt, e.completion) == (0, 1024)


def test_an_engine_that_tells_its_context():
    """vLLM refuses what may go over it; nobody has named max_tokens."""
    def script(h, body):
        if 30 + body["max_tokens"] > 1000:
            h.whole({"error": {"message": "This model's maximum context length is 1000 tokens", "code": 400}}, 400)
        else:
            h.whole({"choices": [{"message": {"content": "hi"}}], "usage": usage(30, 1)})

    engine = Engine()
    engine.script, engine.model = script, {"max_model_len": 1000}
    with Up("--engine", engine.url) as u:
        c = Client(u.url, u.token, u.model)
        assert text_of([ask(c, stream=False)[1]]) == "hi"
        assert c.json("POST", "/v1/chat/completions", {"model": u.model, "messages": [{"role": "user", "content": "x" * 300}]})
    engine.shutdown()


def test_engine_away(client):
    with Up("--engine", "http://127.0.0.1:9", "--model", "demo") as u:
        c = Client(u.url, u.token, u.model)
        with pytest.raises(Refused) as r:
            ask(c, stream=False)
        assert r.value.status in (500, 503)
