# SPDX-License-Identifier: Apache-2.0
"""Manual pages and bash's completion, both made by the programs from their own tables."""
import os
import re
import subprocess

import pytest

from cluster import BUILD, SEALWAY, binary
from parts import plain_env

PARTS = ["gateway", "broker", "worker", "node"]


def out(*cmd):
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=60, env=plain_env())
    assert r.returncode == 0 and not r.stderr, r.stderr
    return r.stdout


def read(page):
    """As a reader sees it; troff has nothing to complain of."""
    r = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou"], input=page, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and not r.stderr, r.stderr
    return r.stdout.replace("‐", "-").replace("−", "-")


def commands():
    return [w for w in out(SEALWAY, "--completions").split() if not w.startswith("-")]


@pytest.mark.parametrize("name", PARTS)
def test_pages_of_the_processes(name):
    page = out(binary(name), "--man")
    text = read(page)
    settings = re.findall(r"^ {2}(--[a-z0-9-]+) ", out(binary(name), "--help"), re.M)
    assert len(settings) > 15
    for s in settings:
        assert re.search(rf"(^|\W){s}(\W|$)", text), s
    assert text.startswith(f"sealway-{name}(8)")
    assert page == open(os.path.join(BUILD, "deploy", f"sealway-{name}.8")).read()


def test_page_of_the_command():
    page = out(SEALWAY, "--man")
    text = read(page)
    for c in commands():
        assert f"sealway {c}" in text
        for option in re.findall(r"^ {2}(--[a-z0-9-]+)", out(SEALWAY, c, "--help"), re.M):
            assert option in text, (c, option)
    assert "--readdress" in text  # of node admit alone
    assert page == open(os.path.join(BUILD, "deploy", "sealway.1")).read()


def complete(*words):
    """What bash offers for the last word."""
    script = out(SEALWAY, "completion", "bash") + """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sealway; printf '%s\\n' "${COMPREPLY[@]}"
"""
    r = subprocess.run(["bash", "-c", script, "bash", SEALWAY, *words], capture_output=True, text=True, timeout=60,
                       env=plain_env())
    assert r.returncode == 0 and not r.stderr, r.stderr
    return r.stdout.split()


def test_completion_of_commands():
    assert set(complete("")) == set(commands()) | {"--help", "--version"}
    assert complete("comp") == ["complete", "completion"] and complete("zzz") == []


def test_completion_of_each_command():
    actions = {"user": "add", "token": "revoke", "node": "admit", "model": "list", "stack": "grant", "request": "show",
               "peer": "list", "usage": "list", "ledger": "backup", "keys": "new", "receipt": "verify"}
    for c in commands():
        offered = complete(c, "")
        shown = re.findall(r"^ {2}(--[a-z0-9-]+)", out(SEALWAY, c, "--help"), re.M)
        assert set(shown) | {"--help"} == {w for w in offered if w.startswith("--")}, c
        assert all(re.fullmatch("(--)?[a-z0-9-]+", w) for w in offered), offered
        assert c not in actions or actions[c] in offered, (c, offered)
    assert complete("stack", "gr") == ["grant"] and complete("complete", "--str") == ["--stream"]


def test_nothing_runs_when_a_shell_asks(tmp_path):
    """Words for a shell come from the table alone, whatever stands before."""
    for c in commands():
        r = subprocess.run([SEALWAY, c, "x", "--completions"], capture_output=True, cwd=tmp_path, timeout=30,
                           env=plain_env(HOME=str(tmp_path)))
        assert r.returncode == 0, c
    assert os.listdir(tmp_path) == []


def test_other_shells():
    r = subprocess.run([SEALWAY, "completion", "fish"], capture_output=True, text=True, env=plain_env())
    assert r.returncode == 2 and "bash" in r.stderr
