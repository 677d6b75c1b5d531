# SPDX-License-Identifier: Apache-2.0
"""The npm package atoma-sdk 0.1.1, unmodified, against the running system."""
import json
import os
import shutil
import subprocess

import pytest

from cluster import BUILD, Up

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def packages():
    """The package installed beside the build, from the registry that npm is set up with."""
    where = os.path.join(BUILD, "npm")
    os.makedirs(where, exist_ok=True)
    shutil.copy(os.path.join(HERE, "package.json"), where)
    # one dependency of the package has a native part, built against the headers of this machine's node
    env = dict(os.environ)
    for prefix in ("/usr/include/nodejs", "/usr"):
        if os.path.exists(os.path.join(prefix, "include", "node", "node.h")):
            env.setdefault("npm_config_nodedir", prefix)
    # without a network it ends after half a minute, not after minutes without a word; what npm has kept needs none
    r = subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--no-package-lock", "--prefer-offline",
                        "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"], cwd=where, env=env,
                       capture_output=True, text=True, timeout=400)
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    r = subprocess.run(["node", "-e", "require('blake2')"], cwd=where, capture_output=True, text=True)
    assert r.returncode == 0, "the native part of blake2 was not built:\n" + r.stderr
    return where


@pytest.fixture(scope="module")
def sdk(packages):
    with Up() as u:
        def call(scenario, token=None):
            r = subprocess.run(["node", os.path.join(HERE, "sdk.js"), scenario, u.url, token or u.token, u.model],
                               cwd=packages, capture_output=True, text=True, timeout=60)
            assert r.returncode == 0, r.stderr
            return json.loads(r.stdout)
        yield call


def test_confidential_chat(sdk):
    r = sdk("chat")
    assert r["text"] == "hello from the other side"
    assert r["usage"]["completionTokens"] == 5


def test_confidential_chat_streamed(sdk):
    r = sdk("chatStream")
    assert r["text"] == "hello from the other side hello from"
    assert r["chunks"] == 8 and len(r["reasons"]) == 1


def test_embeddings(sdk):
    r = sdk("embeddings")
    assert r["size"] > 8 and r["numbers"]


def test_images(sdk):
    assert sdk("images")["url"].startswith("data:image/png;base64,")


def test_lock(sdk):
    r = sdk("lock")
    assert r["keyBytes"] == 32 and r["node"] >= 1 and r["stack"] >= 1


def test_models(sdk):
    assert "demo" in sdk("models")["ids"]


def test_health(sdk):
    assert sdk("health")["message"] == "ok"


def test_bad_token(sdk):
    assert sdk("badToken")["status"] == 401
