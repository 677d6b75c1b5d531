# SPDX-License-Identifier: Apache-2.0
"""What runs on several threads, all of it at once; ThreadSanitizer looks (tests/runner.py, threads)."""
import json
import os
import signal
import subprocess
import threading

from cluster import BUILD, SLOW, Up, wait_for
from parts import get
from sealclient import Client, text_of

ASKERS = 4
ROUNDS = 3
ASKING = os.path.join(BUILD, "tests", "integration", "askers")


def test_clients_of_one_program_at_once(up, tmp_path):
    """Each thread its own struct sealway; they meet the node for the first time together and share the file."""
    pins = tmp_path / "pins"
    r = subprocess.run([ASKING, up.url, up.token, str(pins), str(ASKERS), str(ROUNDS)],
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and r.stdout == f"{ASKERS * ROUNDS}\n", r.stdout + r.stderr
    assert len([x for x in pins.read_text().splitlines() if not x.startswith("#")]) == 1


def test_everything_at_once_and_a_stop_in_the_middle():
    """Sealed answers through all loop threads, reads of the ledger and the metrics, a reload, a dead worker; then
    SIGTERM: what was begun is finished, and everybody goes quietly."""
    with Up("--workers", "2", "--engine", "echo:rate=200") as up:
        good, bad, stopping = [], [], threading.Event()
        run = os.path.join(up.dir, "run")
        pages = [json.load(open(os.path.join(run, f)))["admin"] for f in os.listdir(run) if f.endswith(".ready")]

        def ask(i):
            c = Client(up.url, up.token, up.model)
            while not stopping.is_set():
                try:
                    e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": 6, "stream": True}, stream=True)
                    good.append(text_of(c.post_stream("completions", e)) == "a b a b a b")
                except Exception as e:  # noqa: BLE001 - counted below
                    if not stopping.is_set():
                        bad.append(repr(e))

        def read(*what):
            while not stopping.is_set():
                for page in pages:
                    try:
                        assert get(page, "/metrics")[0] == 200
                    except OSError:
                        pass  # of the worker that dies
                assert up.cli(*what, env={"SEALWAY_DIR": up.dir}).returncode == 0 or stopping.is_set()

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        threads += [threading.Thread(target=read, args=("ledger", "check"))]
        for t in threads:
            t.start()
        wait_for("answers", lambda: len(good) >= 20)
        os.kill(up.pids["broker"][0], signal.SIGHUP)
        os.kill(up.pids["worker"][0], signal.SIGTERM)
        seen = len(good)
        wait_for("more answers", lambda: len(good) >= seen + 20)
        stopping.set()
        up.p.send_signal(signal.SIGTERM)
        for t in threads:
            t.join()
        assert up.p.wait(20 * SLOW) == 0  # a second SIGTERM would cut
        assert all(good) and len(bad) <= 6, bad
