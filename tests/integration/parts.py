# SPDX-License-Identifier: Apache-2.0
"""The four processes started separately over tcp with CURVE, by the commands of the README."""
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

from cluster import SEALWAY, SLOW, binary, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from ports import free_port  # noqa: E402


def readme_commands():
    """The README's commands as lists of words, by program, and for `sealway keys` a list of them."""
    text = open(os.path.join(ROOT, "README.md")).read()
    block = text.split("## Operate it")[1].split("Then admit the node")[0]
    lines = "\n".join(x[4:] for x in block.splitlines() if x.startswith("    ")).replace("\\\n", " ")
    out = {"keys": []}
    for line in lines.splitlines():
        for command in line.split("&&"):
            words = shlex.split(command)
            if words and words[0] == "sealway":
                out["keys"].append(words[1:])
            elif words:
                out[words[0].removeprefix("sealway-")] = words[1:]
    assert set(out) == {"keys", "broker", "worker", "gateway", "node"}
    return out


def plain_env(**more):
    """Nothing of the caller's SEALWAY_ settings, which the processes would take for theirs."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SEALWAY_")}
    env.update(more)
    return env


def get(address, path, timeout=10, headers=None):
    c = http.client.HTTPConnection(address, timeout=timeout)
    try:
        c.request("GET", path, headers=headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read().decode()
    finally:
        c.close()


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*\})? '
                    r'(-?[0-9.]+(?:e[+-]?[0-9]+)?|\+Inf|NaN)$')


def parse_metrics(text):
    """{name and labels: number} of a Prometheus page; every line has to be well-formed."""
    values, types, helped, family, closed = {}, {}, set(), None, set()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        word = line.split(" ", 3)
        if word[:2] == ["#", "HELP"]:
            assert word[2] not in helped and word[3], line
            helped.add(word[2])
        elif word[:2] == ["#", "TYPE"]:
            assert word[2] not in types and word[3] in ("counter", "gauge", "histogram"), line
            closed.add(family)
            types[word[2]], family = word[3], word[2]
        else:
            m = SAMPLE.match(line)
            assert m, line
            name = m[1]
            if types.get(family) == "histogram":
                name = re.sub("_(bucket|sum|count)$", "", name)
            assert name == family and family not in closed and family in helped, line
            assert m[1] + (m[2] or "") not in values, line
            assert types[family] != "counter" or name.endswith("_total"), line
            values[m[1] + (m[2] or "")] = float(m[3])
    assert values
    return values


class Part:
    """One process of its own."""

    def __init__(self, parts, role, words, name, prefix=(), env=None):
        self.name, self.role = name, role
        self.ready_file = os.path.join(parts.dir, name + ".ready")
        self.log_path = os.path.join(parts.dir, name + ".log")
        if os.path.exists(self.ready_file):
            os.unlink(self.ready_file)
        with open(self.log_path, "ab") as log:
            self.p = subprocess.Popen([*prefix, binary(role), *words, "--ready-file", self.ready_file], cwd=parts.dir,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_env(**(env or {})))

    def log(self):
        return open(self.log_path, errors="replace").read()

    def ready(self):
        """Its ready file, once it is there."""
        def there():
            assert self.p.poll() is None, f"{self.name} ended:\n{self.log()}"
            return os.path.exists(self.ready_file)
        wait_for(f"{self.name} to be ready", there)
        return json.load(open(self.ready_file))

    def metrics(self):
        status, headers, text = get(self.ready()["admin"], "/metrics")
        assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
        return parse_metrics(text)

    def end(self, number=signal.SIGTERM, code=0):
        if self.p.poll() is None:
            self.p.send_signal(number)
        got = self.p.wait(45 * SLOW)
        log = self.log()
        assert "Sanitizer" not in log and "runtime error" not in log, log
        assert got == code, f"{self.name} ended with {got}:\n{log}"

    def kill(self):
        self.p.kill()
        self.p.wait()


class Parts:
    """The README's four processes in a directory of their own."""

    def __init__(self, engine="echo"):
        self.dir = tempfile.mkdtemp(prefix="sw")
        self.words = readme_commands()
        self.bus, self.engine, self.gateway_port = free_port(), engine, free_port()
        self.started = []
        for command in self.words["keys"]:
            self.run(*command)

    def sealway(self, *args, env=None, **kw):
        e = plain_env(HOME=self.dir, SEALWAY_ADMIN=f"ipc://{self.dir}/admin.sock", **(env or {}))
        return subprocess.run([SEALWAY, *args], cwd=self.dir, capture_output=True, text=True, env=e,
                              timeout=60 * SLOW, **kw)

    def run(self, *args):
        r = self.sealway(*args)
        assert r.returncode == 0, r.stderr
        return r.stdout

    @property
    def url(self):
        return f"http://127.0.0.1:{self.gateway_port}"

    def command(self, role, *flags):
        """The README's words with this directory and these ports; later flags win."""
        words = [w.replace("$PWD", self.dir).replace(":7700", f":{self.bus}").replace(":8080", f":{self.gateway_port}")
                 for w in self.words[role]]
        if role == "node":
            words += ["--listen", "127.0.0.1:0", "--engine", self.engine]
        return words + list(flags)

    def prefix(self, role):
        """Words before those that start a process: where it runs."""
        return []

    def start(self, role, *flags, name=None, env=None):
        part = Part(self, role, self.command(role, *flags), name or role, self.prefix(role), env)
        self.started.append(part)
        setattr(self, name or role, part)
        return part

    def start_all(self, order=("broker", "worker", "gateway", "node")):
        for role in order:
            self.start(role)

    def operate(self):
        """What OPERATING.md says to do next; gives the token."""
        wait_for("the broker", lambda: os.path.exists(os.path.join(self.dir, "admin.sock")))
        self.run("node", "admit", "keys/node.pub", "--id", "1")
        self.run("user", "add", "alice")
        self.run("user", "fund", "alice", "--micro-usd", "5000000", "--reason", "first order")
        self.token = next(w for w in self.run("token", "create", "alice", "laptop").split()
                          if w.startswith("sk-sealway-"))
        return self.token

    def ready(self):
        for role in ("broker", "worker", "gateway", "node"):
            part = getattr(self, role)
            admin = part.ready()["admin"]
            wait_for(f"{role} /ready", lambda: get(admin, "/ready")[0] == 200)

    def healthy(self):
        try:
            return get(f"127.0.0.1:{self.gateway_port}", "/health")[0] == 200
        except OSError:
            return False

    def ask(self, *args, **kw):
        """`sealway complete` of "a b" over three tokens, against this gateway."""
        return self.sealway("complete", "--max-tokens", "3", *args, "a b",
                            env={"SEALWAY_URL": self.url, "SEALWAY_TOKEN": self.token}, **kw)

    def logs(self):
        return "\n".join(f"--- {p.name}\n{p.log()[-8000:]}" for p in self.started)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        order = ["gateway", "worker", "node", "broker"]
        running = sorted((p for p in self.started if p.p.poll() is None), key=lambda p: order.index(p.role))
        try:
            if kind is None:
                for part in running:
                    part.end()
            else:
                print(self.logs())
        finally:
            for part in running:
                if part.p.poll() is None:
                    part.kill()
            shutil.rmtree(self.dir, ignore_errors=True)
