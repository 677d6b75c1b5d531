# SPDX-License-Identifier: Apache-2.0
"""The benchmark's own tools: that the load generator counts what is wrong, and that a round of everything works."""
import contextlib
import glob
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

BUILD = os.environ["SEALWAY_BUILD"]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import long  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
import systems  # noqa: E402

LOAD = os.path.join(BUILD, "tests", "bench", "bench-load")


class Fake:
    """A server that says the same bytes to every request."""

    def __init__(self, answer, wait=0):
        self.answer, self.wait = answer, wait
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            with c:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += c.recv(65536)
                head, _, body = data.partition(b"\r\n\r\n")
                want = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while len(body) < want:
                    body += c.recv(65536)
                time.sleep(self.wait)
                c.sendall(self.answer)

    def load(self, *flags):
        r = subprocess.run([LOAD, "--to", f"127.0.0.1:{self.port}", "--path", "/x", "--once", "--seconds", "2", "--size", "10",
                            *flags], capture_output=True, text=True, timeout=30)
        self.listener.close()
        return json.loads(r.stdout)


def sse(*events, end=b"0\r\n\r\n"):
    body = b"".join(b"%x\r\n%s\r\n" % (len(e), e) for e in events)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body + end


def event(i):
    return b'data: {"i":%d,"x":"y"}\n\n' % i


DONE = b"data: [DONE]\n\n"


def test_a_wrong_answer_fails_its_row():
    assert rows.failed({"nginx": {"wrong": 0}, "sealway": {"wrong": 1}})
    assert rows.failed({"nginx": {"failed": "it did not answer"}})
    assert not rows.failed({"nginx": {"wrong": 0}, "sealway": {"wrong": 0}})


def test_a_complete_stream_is_right():
    out = Fake(sse(event(0), event(1), DONE)).load("--chunks", "2")
    assert out["wrong"] == 0 and out["answers"] == 1 and out["all_events"] == 2


def test_events_split_anywhere_and_comments_are_fine():
    out = Fake(sse(event(0)[:5], event(0)[5:-1], b"\n:\n", b"\n" + event(1), DONE)).load("--chunks", "2")
    assert out["wrong"] == 0 and out["all_events"] == 2


def test_chunks_of_the_warm_up_do_not_count():
    answer, words = sse(event(0), event(1), event(2), DONE), ["--chunks", "3", "--gap-us", "1000"]
    assert Fake(answer, wait=0.1).load(*words)["chunk"]["n"] == 3  # due after the clock started
    out = Fake(answer, wait=0.1).load(*words, "--warmup", "1")
    assert out["answers"] == 1 and "chunk" not in out


def test_what_is_wrong_is_counted():
    for answer, why in ((sse(event(0), DONE), "events are missing"), (sse(event(1), event(0), DONE), "an event out of order"),
                        (sse(event(0), event(0), DONE), "an event out of order"), (sse(event(0), event(1)), "no [DONE]"),
                        (sse(event(0), event(1), DONE, end=b""), "cut off"),
                        (sse(event(0), b"event: error\ndata: {}\n\n"), "an error event"),
                        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "status 503"),
                        (b"HTTP/1.1 200 OK\r\n\r\n", "an answer of unknown length")):
        out = Fake(answer).load("--chunks", "2")
        assert out["wrongs"] == {why: 1} and out["answers"] == 0, (why, out)


def test_a_smoke_round_of_everything():
    """Peers that are installed, and sealway both ways: every answer right, samples verified by the client library."""
    r = subprocess.run([os.path.join(HERE, "run"), "--smoke", "--no-portkey", "--installed-only", "--build", BUILD, "--rows",
                        "a16,h64,b,c50,e,e2,ta,growth", "--json"], capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    result = json.loads(r.stdout)
    assert [row["row"] for row in result["rows"]] == ["a16", "h64", "b", "c50", "e", "e2", "ta", "growth"]
    grown = list(result["rows"].pop()["systems"].values())
    assert [(s["users"], s["nodes"]) for s in grown] == [(1, 1), (1, 31), (301, 31)]
    assert all(s["wrong"] == 0 and s["rps"] > 0 for s in grown), grown
    for row in result["rows"]:
        for name, s in row["systems"].items():
            assert s["wrong"] == 0 and s["value"]["median"] > 0, (row["row"], name, s)
            if row["row"] != "e" and name in rows.OURS:
                assert s["verified"] > 0, (row["row"], name)
        assert "sealway-ipc" in report.table(result)
        if row["row"] != "e":
            assert "<polyline" in report.svg(row, "chunk" if row["counts"] == "chunk" else "total")


class Node:
    """The bench node by itself, and one connection to it."""

    def __init__(self, directory):
        self.ready = ready = str(directory / "ready")
        self.p = subprocess.Popen([os.path.join(BUILD, "tests", "bench", "bench-node"), "--ready-file", ready])
        systems.wait_for("the node", lambda: os.path.exists(ready))
        self.c = socket.create_connection(("127.0.0.1", int(json.load(open(ready))["listen"].split(":")[1])), 5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.close()
        self.p.terminate()
        self.p.wait(10)
        os.unlink(self.ready)

    def silent(self):
        self.c.settimeout(0.3)
        try:
            self.c.recv(1)
            return False
        except TimeoutError:
            return True
        finally:
            self.c.settimeout(5)

    def answer(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.c.recv(1)
        body = b""
        while len(body) < int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]):
            body += self.c.recv(65536)
        return head.split(b"\r\n")[0], body


ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


def test_the_node_answers_after_the_last_byte_of_a_body_and_not_before(tmp_path):
    body = b'{"user":"bench:[0,0,0,100]","messages":"' + b"x" * 3000000 + b'"}'
    with Node(tmp_path) as n:
        for _ in range(2):  # the second time the answer is known
            n.c.sendall(ASK + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
            assert n.silent()
            n.c.sendall(body[-1:])
            status, answer = n.answer()
            assert status == b"HTTP/1.1 200 OK" and len(json.loads(answer)["choices"][0]["message"]["content"]) == 100
        n.c.sendall(ASK + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(body), body))
        assert n.silent()
        n.c.sendall(b"0\r\n\r\n")
        assert n.answer() == (status, answer)


def stream(n, events, gap, wait=0):
    """What comes of a stream of events to a reader that begins after wait seconds, and in how many segments."""
    ask = b'{"user":"bench:[%d,%d,0,0]"}' % (events, gap)
    n.c.sendall(ASK + b"Content-Length: %d\r\n\r\n" % len(ask) + ask)
    time.sleep(wait)
    data = bytearray()
    while not data.endswith(b"0\r\n\r\n"):
        data += n.c.recv(1 << 20)
    info = n.c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    return bytes(data), struct.unpack_from("I", info, 152)[0]  # tcpi_data_segs_in


def test_events_can_be_written_singly(tmp_path):
    with Node(tmp_path) as n:
        at_once, few = stream(n, 400, 0)
    with Node(tmp_path) as n:
        singly, many = stream(n, 400, 1)
    assert singly == at_once and singly.count(b"data: {") == 400
    assert many > 2 * few  # what is written singly may still travel together


def test_a_reader_that_comes_late_gets_all_that_was_written_singly(tmp_path):
    with Node(tmp_path) as n:  # 12 MB: more than the buffers between the two take
        assert stream(n, 20000, 1, wait=0.5)[0].count(b"data: {") == 20000


def test_the_node_refuses_what_asks_for_nothing(tmp_path):
    with Node(tmp_path) as n:
        n.c.sendall(ASK + b"Content-Length: 2\r\n\r\n{}")
        assert n.answer()[0] == b"HTTP/1.1 400 Bad Request"
        n.c.sendall(ASK + b"X-Sealway-Auth: AAAA\r\nContent-Length: 2\r\n\r\n{}")
        assert n.answer()[0] == b"HTTP/1.1 401 Unauthorized"
        n.c.sendall(b"nonsense\r\n\r\n")
        assert n.c.recv(1) == b""


def test_a_short_soak():
    r = subprocess.run([os.path.join(HERE, "run"), "--soak", "3", "--build", BUILD], capture_output=True, text=True, timeout=60)
    out = json.loads(r.stdout)[0]
    assert not out["wrongs"] and all(out["answers"].values()), (out, r.stderr)
    assert set(out["rss_kb"]) == {"broker", "worker", "gateway"}
    assert all(0 < v["start"] and 0 < v["middle"] and v["start"] < v["bound"] for v in out["rss_kb"].values()), out


def test_instructions_are_counted():
    r = subprocess.run([os.path.join(HERE, "run"), "--instructions", "--smoke", "--build", BUILD], capture_output=True, text=True,
                       timeout=100)
    assert r.returncode == 0, r.stderr
    each = json.loads(r.stdout)[0]["per_request"]
    assert set(each) == {"broker", "worker", "gateway"}
    assert all(10 < v < 20000 for v in each.values()), each  # thousands


def test_memory_that_grows_is_seen():
    assert long.flat([(t, 10000 + min(t, 30) * 100) for t in range(101)])
    grown = [(t, 10000 + t * 200) for t in range(101)]
    assert not long.flat(grown)
    assert long.memory(grown) == {"start": 10000, "middle": 20000, "end": 30000, "bound": 21696}


def test_a_pair_needs_a_sealed_request():
    r = subprocess.run([LOAD, "--to", "127.0.0.1:9", "--path", "/x", "--pairs", "--once"], capture_output=True, text=True)
    assert r.returncode == 2 and "--pairs" in r.stderr


def test_a_row_is_void_when_the_node_is_the_limit():
    row = {"row": "a64", "counts": "rps", "systems": {
        "nginx": {"value": {"median": 50000}, "node_cpu_us": {"request": 10}},
        "sealway-ipc": {"value": {"median": 10000}, "node_cpu_us": {"request": 10}}}}
    rows.void(row, 1)
    assert [s["node_ceiling"] for s in row["systems"].values()] == [2.0, 10.0]
    rows.void(row, 2)
    assert [s["node_ceiling"] for s in row["systems"].values()] == [4.0, 20.0]


def test_a_stall_is_seen():
    p = subprocess.Popen([sys.executable, os.path.join(HERE, "stalls.py"), "1.5", "0"], stdout=subprocess.PIPE)
    time.sleep(0.5)
    p.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    p.send_signal(signal.SIGCONT)
    assert max(json.loads(p.communicate(timeout=20)[0])) >= 100000


@pytest.mark.parametrize("flags, why", [
    (["--rows", "a1,nonsense"], "no such row: nonsense"), (["--soak", "0"], "a number of seconds from 1 on"),
    (["--full", "--quick"], "not allowed with"), (["--soak", "1", "--out", "/proc/x"], "nothing can be written to /proc/x: "),
    (["--rows", "a1", "--build", "/nowhere"], "/nowhere is no finished build: gateway/sealway-gateway is missing"),
], ids=lambda x: x[0] if isinstance(x, list) else "")
def test_what_cannot_be_measured_is_said_at_once(flags, why):
    r = subprocess.run([os.path.join(HERE, "run"), "--build", BUILD, *flags], capture_output=True, text=True, timeout=20)
    assert r.returncode != 0 and why in r.stderr and "Traceback" not in r.stderr and not r.stdout, r.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_cut_off_leaves_nothing(tmp_path, number):
    p = subprocess.Popen([os.path.join(HERE, "run"), "--smoke", "--no-portkey", "--installed-only", "--build", BUILD],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
                         env=dict(os.environ, TMPDIR=str(tmp_path)), preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    try:
        systems.wait_for("its processes", lambda: len(systems.tree(p.pid)) > 10)
        p.send_signal(number)
        _, err = p.communicate(timeout=30)
        assert p.returncode == 1 and err.endswith("stopped, with all that was started\n"), err
        systems.wait_for("the end of all", lambda: not running_in(p.pid), 5)
        assert not list(tmp_path.iterdir())
    finally:
        for pid in running_in(p.pid):  # a session of its own: nobody else would end it
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def running_in(session):
    """Ids of the processes of a session that are more than an entry in the system's table."""
    out = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                pid, state, _, _, of = re.sub(r"\(.*\)", "", f.read(), flags=re.S).split()[:5]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            out.append(int(pid))
    return out


