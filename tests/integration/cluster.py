# SPDX-License-Identifier: Apache-2.0
"""Starts the real processes for a test, on free ports of the loopback, and sees that nothing is left."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

BUILD = os.environ["SEALWAY_BUILD"]
SLOW = 4 if os.environ.get("SEALWAY_SANITIZED") else 1
SEALWAY = os.path.join(BUILD, "client", "sealway")


def binary(name):
    return os.path.join(BUILD, name, f"sealway-{name}")


def wait_for(what, check, seconds=15):
    """Polls check() until it is true; the sanitized build gets more time."""
    end = time.time() + seconds * SLOW
    while True:
        value = check()
        if value:
            return value
        if time.time() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(f.read().split("VmRSS:")[1].split()[0])


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except FileNotFoundError:
        return []


class Up:
    """`sealway up` with everything on this machine."""

    def __init__(self, *flags, env=None, dir=None):
        self.top = tempfile.mkdtemp(prefix="sw")
        self.dir = dir or os.path.join(self.top, "d")
        self.ready_file = os.path.join(self.top, "ready")
        self.log_path = os.path.join(self.top, "up.log")
        cmd = [SEALWAY, "up", "--dir", self.dir, "--listen", "127.0.0.1:0", "--ready-file", self.ready_file, *flags]
        self.log = open(self.log_path, "wb")
        self.p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
                                  env=dict(os.environ, HOME=self.top, **(env or {})))
        wait_for("sealway up to be ready", self.came_up, 20)
        info = json.load(open(self.ready_file))
        self.url, self.token, self.model, self.pids = info["url"], info["token"], info["model"], info["pids"]

    def came_up(self):
        assert self.p.poll() is None, "sealway up ended:\n" + self.logs()
        return os.path.exists(self.ready_file)

    def logs(self):
        self.log.flush()
        text = open(self.log_path, errors="replace").read()
        folder = os.path.join(self.dir, "log")
        for f in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            text += f"--- {f}\n" + open(os.path.join(folder, f), errors="replace").read()[-20000:]
        return text

    def cli(self, *args, input=None, env=None, timeout=60):
        """Runs the sealway command against this cluster."""
        e = dict(os.environ, SEALWAY_URL=self.url, SEALWAY_TOKEN=self.token, HOME=self.top, **(env or {}))
        return subprocess.run([SEALWAY, *args], input=input, capture_output=True, env=e, timeout=timeout * SLOW)

    def stop(self, check=True):
        """SIGTERM; everything has to go, cleanly and without a sanitizer's word."""
        before = [self.p.pid] + children(self.p.pid)
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            code = self.p.wait(40 * SLOW)
        except subprocess.TimeoutExpired:
            for pid in before:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.p.wait()
            raise AssertionError("sealway up did not stop:\n" + self.logs()) from None
        logs = self.logs()
        left = [pid for pid in before if os.path.exists(f"/proc/{pid}")]
        self.log.close()
        shutil.rmtree(self.top, ignore_errors=True)
        if check:
            assert "Sanitizer" not in logs and "runtime error" not in logs, logs
            assert not left, f"processes left: {left}"
            assert code == 0, f"sealway up ended with {code}:\n{logs}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.stop(check=kind is None)


def run_quiet(*cmd, **kw):
    return subprocess.run(cmd, check=True, capture_output=True, text=True, **kw).stdout
