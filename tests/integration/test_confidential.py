# SPDX-License-Identifier: Apache-2.0
"""The main job against the running system, by a client that shares no code with it."""
import base64
import threading
import time

import pytest

from cluster import Up, wait_for
from sealclient import Client, Refused, text_of


def test_completion_whole(client):
    e = client.seal({"model": client.model, "prompt": "the quick brown fox", "max_tokens": 6})
    o = client.post("completions", e)
    assert text_of([o]) == "the quick brown fox the quick"
    assert o["object"] == "text_completion" and o["model"] == client.model and isinstance(o["created"], int)
    assert (e.prompt, e.completion, e.outcome) == (4, 6, 0)


def test_completion_default_length(client):
    e = client.seal({"model": client.model, "prompt": "a b"})
    assert text_of([client.post("completions", e)]).split() == ["a", "b"] * 8


def test_completion_streamed(client):
    e = client.seal({"model": client.model, "prompt": "one two three", "max_tokens": 5, "stream": True}, stream=True)
    chunks = client.post_stream("completions", e)
    assert text_of(chunks) == "one two three one two"
    assert len(chunks) == 6 and [len(c["choices"]) for c in chunks] == [1] * 6
    assert chunks[-1]["choices"][0]["text"] == "" and chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert chunks[-1]["usage"]["total_tokens"] == 8
    assert len({c["id"] for c in chunks}) == 1


def test_ids_cannot_be_guessed(client):
    ids = set()
    for _ in range(3):
        e = client.seal({"model": client.model, "prompt": "x", "max_tokens": 1})
        ids.add(client.post("completions", e)["id"])
    assert len(ids) == 3 and all(len(i) >= 32 for i in ids)


@pytest.mark.parametrize("stream", [False, True])
def test_chat(client, stream):
    plain = {"model": client.model, "max_tokens": 3, "stream": stream,
             "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "grüß dich 世界"}]}
    e = client.seal(plain, stream=stream)
    if stream:
        chunks = client.post_stream("chat/completions", e)
        assert text_of(chunks) == "grüß dich 世界" and chunks[0]["object"] == "chat.completion.chunk"
    else:
        o = client.post("chat/completions", e)
        assert text_of([o]) == "grüß dich 世界" and o["object"] == "chat.completion"


def test_include_usage_comes_last(client):
    e = client.seal({"model": client.model, "prompt": "x y", "max_tokens": 2, "stream": True,
                     "stream_options": {"include_usage": True}}, stream=True)
    chunks = client.post_stream("completions", e)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 2
    assert chunks[-2]["choices"][0]["finish_reason"]


def test_embeddings(client):
    vectors = []
    for text in ("some text", "some text", "other text"):
        o = client.post("embeddings", client.seal({"model": client.model, "input": text}))
        vectors.append(o["data"][0]["embedding"])
        assert all(isinstance(x, float) for x in vectors[-1]) and o["usage"]["prompt_tokens"] == 2
    assert vectors[0] == vectors[1] != vectors[2] and len(vectors[0]) == len(vectors[2]) > 8


def test_images(client):
    e = client.seal({"model": client.model, "prompt": "a cat", "size": "64x32", "n": 1,
                     "response_format": "b64_json"})
    o = client.post("images/generations", e)
    prefix = "data:image/png;base64,"
    assert o["data"][0]["url"].startswith(prefix)
    png = base64.b64decode(o["data"][0]["url"][len(prefix):])
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and base64.b64decode(o["data"][0]["b64_json"]) == png
    assert (e.prompt, e.completion) == (0, 64 * 32)


def test_sealed_request_is_answered_once(client):
    lock = client.lock()
    e = client.seal({"model": client.model, "prompt": "again", "max_tokens": 1}, lock=lock)
    client.post("completions", e)
    client.lock()
    with pytest.raises(Refused) as r:
        client.post("completions", e)
    assert r.value.status == 425 and r.value.error["reason"] == "already_answered"


def test_unknown_members_are_ignored(client):
    e = client.seal({"model": client.model, "prompt": "x", "max_tokens": 1}, extra={"deep": [1, {"a": None}]})
    assert text_of([client.post("completions", e)]) == "x"


def test_clear_name_must_be_the_sealed_name(client):
    e = client.seal({"model": "another", "prompt": "x", "max_tokens": 1})
    with pytest.raises(Refused) as r:
        client.post("completions", e)
    assert r.value.status == 400 and r.value.error["param"] is None


def test_stream_flag_must_be_the_sealed_flag(client):
    e = client.seal({"model": client.model, "prompt": "x", "max_tokens": 1, "stream": True}, stream=False)
    with pytest.raises(Refused) as r:
        client.post("completions", e)
    assert r.value.status == 400


def test_prompt_over_the_reservation_is_refused(client):
    e = client.seal({"model": client.model, "prompt": "w " * 50, "max_tokens": 1}, units=20)
    with pytest.raises(Refused) as r:
        client.post("completions", e)
    assert r.value.status == 400


def test_answer_stays_within_the_reservation(client):
    e = client.seal({"model": client.model, "prompt": "a b c", "max_tokens": 500}, units=40)
    client.post("completions", e)
    assert (e.prompt, e.completion) == (3, 37)


def test_words_arrive_as_they_are_made():
    with Up("--engine", "echo:rate=10") as u:
        c = Client(u.url, u.token, u.model)
        e = c.seal({"model": c.model, "prompt": "a b c d", "max_tokens": 10, "stream": True}, stream=True)
        times = []
        chunks = c.post_stream("completions", e, lambda *_: times.append(time.time()))
        assert len(chunks) == 11
        gaps = [b - a for a, b in zip(times, times[1:])]
        assert times[-1] - times[0] > 0.7 and sum(g > 0.04 for g in gaps) >= 7, gaps


def test_many_at_once(client):
    bad = []

    def one(i):
        try:
            words = f"request number {i}".split()
            e = client.seal({"model": client.model, "prompt": " ".join(words), "max_tokens": 9, "stream": bool(i % 2)},
                            stream=bool(i % 2))
            got = (text_of(client.post_stream("completions", e)) if i % 2
                   else text_of([client.post("completions", e)]))
            assert got == " ".join(words * 3)
        except Exception as ex:  # noqa: BLE001 - collected and shown
            bad.append(f"{i}: {ex!r}")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad, "\n".join(bad)


def test_gateways_workers_and_nodes_in_numbers():
    with Up("--gateways", "2", "--workers", "2", "--nodes", "2") as u:
        c = Client(u.url, u.token, u.model)
        assert [len(u.pids[k]) for k in ("gateway", "broker", "worker", "node")] == [2, 1, 2, 2]
        for _ in range(20):
            e = c.seal({"model": c.model, "prompt": "hello there", "max_tokens": 4, "stream": True}, stream=True)
            assert text_of(c.post_stream("completions", e)) == "hello there hello there"
        wait_for("health", lambda: c.request("GET", "/health", auth=False)[0] == 200)
