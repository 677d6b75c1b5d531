# SPDX-License-Identifier: Apache-2.0
"""The npm package openai (newest release that runs on Debian's Node.js), unmodified, against the running system."""
import json
import os
import subprocess

import pytest

from cluster import Up, wait_for
from scripted_node import ScriptedNode, admin
from test_sdk import packages  # noqa: F401 - a fixture

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def system():
    with Up() as u:
        yield u


@pytest.fixture(scope="module")
def openai(system, packages):  # noqa: F811
    def call(scenario, model=system.model):
        r = subprocess.run(["node", os.path.join(HERE, "openai.js"), scenario, system.url, system.token, model],
                           cwd=packages, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)
    return call


def spent(system):
    """Spent units, once nothing is reserved."""
    wait_for("everything to be settled", lambda: all(s["reserved"] == 0 for s in admin(system, "stack.list")["stacks"]))
    return sum(s["spent"] for s in admin(system, "stack.list")["stacks"])


def test_chat_is_billed_by_its_usage(system, openai):
    before = spent(system)
    r = openai("chat")
    assert (r["text"], r["role"], r["object"], r["reason"]) == ("hello from the other side", "assistant",
                                                                 "chat.completion", "length")
    assert (r["usage"]["prompt_tokens"], r["usage"]["completion_tokens"], r["usage"]["total_tokens"]) == (5, 5, 10)
    assert spent(system) - before == 10


def test_chat_streamed(system, openai):
    before = spent(system)
    r = openai("chatStream")
    assert r["text"] == "hello from the other side hello from"
    assert r["reasons"] == ["length"] and r["usage"] == []  # nobody asked
    assert spent(system) - before == 12


def test_chat_streamed_with_usage(openai):
    r = openai("chatStreamUsage")
    assert r["text"] == "hello from" and r["usage"] == [7]


def test_the_packages_own_helper_for_streams(openai):
    r = openai("chatHelper")
    assert r["text"] == r["parts"] == "hello from the other side hello"


def test_text_of_all_planes(openai):
    assert openai("chatUtf8")["text"] == "größe 😀 \u2028\"\\"


def test_completions(openai):
    r = openai("completions")
    assert (r["text"], r["object"], r["usage"]["total_tokens"]) == ("a b c a", "text_completion", 7)


def test_completions_streamed(openai):
    r = openai("completionsStream")
    assert r["text"] == "a b c a" and r["reasons"] == ["length"]


def test_embeddings(openai):
    """As floats, and as the package asks for them by itself, which is base64."""
    r = openai("embeddings")
    assert [len(v) for v in r["asked"]] == [64, 64]
    for asked, usual in zip(r["asked"], r["usual"], strict=True):
        assert usual == pytest.approx(asked)
    assert r["usage"]["prompt_tokens"] == 3


def test_images(system, openai):
    before = spent(system)
    r = openai("images")
    assert r["url"].startswith("data:image/png;base64,") and r["created"] > 1700000000
    assert spent(system) - before == 64 * 64


def test_models(openai):
    assert "demo" in openai("models")["ids"]


def test_a_model(system, openai):
    """By its name alone, which the package escapes or not as it pleases."""
    name = "meta-llama/Llama-3.3-70B-Instruct"
    with ScriptedNode(system, model=name):
        for model in (system.model, name):
            r = openai("model", model)
            assert r["found"]["id"] == model and r["found"]["object"] == "model" and [r["found"]] == r["listed"]


def test_a_caller_that_stops_is_billed_for_what_came(system, openai):
    before = spent(system)
    assert openai("aborted")["chunks"] >= 3
    assert 5 < spent(system) - before <= 1005


@pytest.mark.parametrize("scenario,kind,status,code,param", [
    ("badToken", "AuthenticationError", 401, "AUTH_ERROR", None),
    ("badBody", "BadRequestError", 400, "INVALID_BODY", "max_tokens"),
    ("badSize", "BadRequestError", 400, "INVALID_BODY", "size"),
    ("noModel", "InternalServerError", 503, "SERVICE_UNAVAILABLE", None),
    ("noModelNow", "NotFoundError", 404, "NOT_FOUND", None),
    ("noPath", "NotFoundError", 404, "NOT_FOUND", None),
])
def test_errors_are_of_the_right_class(openai, scenario, kind, status, code, param):
    r = openai(scenario)
    assert r["kinds"] == [kind] and r["api"]
    assert (r["status"], r["code"], r["param"]) == (status, code, param) and r["type"] and r["request"]
