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
    assert text.startswith(f"sealway-{name}(8)") and f"sealway-{name} [--config FILE]" in text
    assert len(re.findall("^ +--config ", text, re.M)) == 1
    assert page == open(os.path.join(BUILD, "deploy", f"sealway-{name}.8")).read()
    signal = {"broker": "read the allow-list", "gateway": "read tls_cert and tls_key"}.get(name, "nothing")
    assert f"SIGHUP: {signal}" in text


def test_page_of_the_command():
    page = out(SEALWAY, "--man")
    text = read(page)
    for c in commands():
        assert f"sealway {c}" in text
        for option in re.findall(r"^ {2}(--[a-z0-9-]+)", out(SEALWAY, c, "--help"), re.M):
            assert option in text, (c, option)
    assert "--readdress" in text  # of node admit alone
    assert max(map(len, text.splitlines())) <= 100  # lines that do not fill are short enough by themselves
    source = os.path.join(os.path.dirname(__file__), "..", "..", "client")
    used = subprocess.run(["grep", "-rhoE", "--exclude=main.c", '"SEALWAY_[A-Z_]+"', source], capture_output=True, text=True).stdout
    assert set(re.findall("SEALWAY_[A-Z_]+", used)) == set(re.findall(r"^ +(SEALWAY_[A-Z_]+)$", text, re.M)) != set()
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
    assert set(complete("")) == set(commands()) | {"--help", "--man", "--version"}
    assert complete("comp") == ["complete", "completion"] and complete("zzz") == []
    for first in ("--help", "--version", "--man", "zzz"):
        assert complete(first, "") == []


def test_completion_of_each_command():
    actions = {"user": ["list", "add", "show", "journal", "fund", "price", "limit"], "token": ["list", "create", "revoke"],
               "node": ["list", "admit", "show", "drain", "remove"], "model": ["list"], "request": ["list", "show"],
               "stack": ["list", "show", "unlock", "grant"], "peer": ["list"], "usage": ["list"],
               "ledger": ["check", "backup", "export"], "keys": ["new", "node", "list", "revoke"],
               "receipt": ["verify"], "completion": ["bash"]}
    for c in commands():
        offered = complete(c, "")
        shown = re.findall(r"^ {2}(--[a-z0-9-]+)", out(SEALWAY, c, "--help"), re.M)
        assert offered == actions.get(c, []) + shown + ["--help"], c
        for a in actions.get(c, []):
            if c in ("keys", "receipt", "completion"):
                continue
            shown = re.findall(r"^ {2}(--[a-z0-9-]+)", out(SEALWAY, c, a, "--help"), re.M)
            assert "--json" in shown and complete(c, a, "") == shown + ["--help"], (c, a)
    assert complete("stack", "gr") == ["grant"] and complete("complete", "--str") == ["--stream"]


def test_completion_within_a_command():
    where = ["--dir", "--admin", "--json", "--help"]
    assert complete("user", "show", "alice", "") == where
    assert complete("user", "fund", "alice", "--m") == ["--micro-usd"] and complete("user", "add", "--m") == []
    assert complete("keys", "new", "") == ["gateway", "worker", "--dir", "--name", "--help"]
    assert complete("keys", "--dir", "new", "re") == ["revoke"]  # a value is no word of the command
    assert complete("ledger", "export", "--what", "") == ["settlements", "journal"]
    assert complete("ledger", "export", "--what", "=", "j") == ["journal"]
    assert complete("node", "admit", "--re") == ["--readdress"] and complete("node", "list", "--re") == []
    for value in (["complete", "--receipt"], ["user", "fund", "--reason"], ["up", "--dir"]):
        assert complete(*value, "") == []  # bash goes on with files
    assert complete("user", "$(touch x)", "`touch y`", "--js") == ["--json"]


def test_completion_by_a_path_from_home(tmp_path):
    os.symlink(SEALWAY, tmp_path / "sealway")
    script = out(SEALWAY, "completion", "bash") + """
COMP_WORDS=("~/sealway" stack gr); COMP_CWORD=2; _sealway; echo "${COMPREPLY[@]}"
"""
    r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=plain_env(HOME=str(tmp_path)))
    assert (r.stdout, r.stderr) == ("grant\n", "")


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
