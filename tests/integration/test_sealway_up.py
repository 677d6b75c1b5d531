# SPDX-License-Identifier: Apache-2.0
"""`sealway up` itself: several of everything, deaths, the end, and what is left behind."""
import fcntl
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from cluster import SEALWAY, SLOW, Up, children, wait_for


def ask(up, *args):
    return up.cli("chat", "--max-tokens", "2", "--quiet", *args, "a b",
                  env={"SEALWAY_KNOWN_NODES": os.path.join(up.dir, "known_nodes")})


def gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_several_of_everything():
    with Up("--gateways", "2", "--workers", "2", "--nodes", "3") as up:
        assert [len(up.pids[k]) for k in ("gateway", "broker", "worker", "node")] == [2, 1, 2, 3]
        for _ in range(6):
            assert ask(up).stdout == b"a b\n"


@pytest.mark.parametrize("role", ["gateway", "worker", "node", "broker"])
def test_a_child_that_dies_is_said_and_restarted(role):
    with Up() as up:
        os.kill(up.pids[role][0], signal.SIGKILL)
        wait_for("new pid", lambda: json.load(open(up.ready_file))["pids"][role] not in ([], up.pids[role]))
        wait_for("answers again", lambda: ask(up).stdout == b"a b\n")
        assert f"{role}-1 was killed by signal 9" in open(up.log_path).read()


def test_token_is_in_no_file_argument_or_environment():
    with Up(env={"SEALWAY_TOKEN": "sk-sealway-of-the-person"}) as up:
        assert ask(up).returncode == 0
        for pid in children(up.p.pid):
            for f in ("cmdline", "environ"):
                data = open(f"/proc/{pid}/{f}", "rb").read()
                assert up.token.encode() not in data and b"of-the-person" not in data
        for folder, _, files in os.walk(up.dir):
            for f in files:
                path = os.path.join(folder, f)
                if os.path.isfile(path):
                    assert up.token.encode() not in open(path, "rb").read(), path


def test_token_is_in_no_file_when_there_is_no_output(tmp_path):
    """Its descriptor is nobody's: the lock file, say, must not get the number and what is printed."""
    d, ready = str(tmp_path / "d"), str(tmp_path / "ready")
    p = subprocess.Popen(["/bin/sh", "-c", 'exec "$0" "$@" >&-', SEALWAY, "up", "--dir", d, "--listen", "127.0.0.1:0",
                          "--ready-file", ready], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        wait_for("ready", lambda: os.path.exists(ready) or p.poll() is not None, 20)
        token = json.load(open(ready))["token"]
        time.sleep(0.2)  # the ready file comes before the banner
        assert token not in open(os.path.join(d, "lock")).read()
    finally:
        p.send_signal(signal.SIGTERM)
        said = p.communicate(timeout=40 * SLOW)[1]
    assert p.returncode == 1 and b"output cannot be written" in said


def test_data_directory_is_private_and_stays(tmp_path):
    d = str(tmp_path / "data")
    with Up(dir=d) as up:
        first = up.token
        assert ask(up).returncode == 0
        assert os.stat(d).st_mode & 0o777 == 0o700
        keys = {f: open(os.path.join(d, "keys", f)).read() for f in os.listdir(os.path.join(d, "keys"))}
    assert os.listdir(os.path.join(d, "run")) == []
    with Up(dir=d) as up:
        assert up.token != first
        r = up.cli("complete", "--token", first, "--model", up.model, "x")
        assert r.returncode == 1 and b"401" in r.stderr  # the old token is revoked
        assert ask(up).returncode == 0
        assert keys == {f: open(os.path.join(d, "keys", f)).read() for f in os.listdir(os.path.join(d, "keys"))}


def test_same_directory_twice():
    with Up() as up:
        before = open(up.ready_file).read()
        r = up.cli("up", "--dir", up.dir, "--listen", "127.0.0.1:0", "--ready-file", up.ready_file)
        assert r.returncode == 1 and b"another sealway up uses" in r.stderr
        assert ask(up).returncode == 0 and open(up.ready_file).read() == before


def test_the_lock_of_a_directory_of_somebody_else(tmp_path):
    """Is looked at before the directory is known to be ours: what it says does not steer the terminal."""
    with open(tmp_path / "lock", "w") as f:
        f.write("7\033]0;title\007")
        f.flush()
        fcntl.flock(f, fcntl.LOCK_EX)
        r = subprocess.run([SEALWAY, "up", "--dir", str(tmp_path)], capture_output=True, timeout=20)
    assert r.returncode == 1 and b"(process 7)" in r.stderr and b"\033" not in r.stderr


def test_same_port_at_the_same_moment(tmp_path):
    """Both find it free, and their gateways would share it.  And the ready file, which has the token, is readable by
    nobody else, whatever lay there."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        listen = f"127.0.0.1:{s.getsockname()[1]}"
    for d in "ab":
        left = tmp_path / f"{d}.ready.new"
        left.write_text("")
        left.chmod(0o666)
    ps = [subprocess.Popen([SEALWAY, "up", "--dir", str(tmp_path / d), "--listen", listen, "--ready-file",
                            str(tmp_path / f"{d}.ready")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for d in "ab"]
    try:
        wait_for("one to give up", lambda: any(p.poll() is not None for p in ps))
        lost, won = sorted(ps, key=lambda p: p.poll() is None)
        assert lost.returncode in (1, 2) and b"cannot listen" in lost.stderr.read()
        ready = wait_for("the other to serve", lambda: list(tmp_path.glob("*.ready")))
        assert won.poll() is None and ready[0].stat().st_mode & 0o777 == 0o600
    finally:
        for p in ps:
            p.terminate()
            p.wait(40 * SLOW)
            p.stderr.close()


def test_a_log_that_cannot_be_written(tmp_path):
    """Of an earlier `sudo sealway up`, say."""
    (tmp_path / "d" / "log" / "broker-1.log").mkdir(parents=True)
    (tmp_path / "d").chmod(0o700)
    r = subprocess.run([SEALWAY, "up", "--dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0"], capture_output=True, timeout=30 * SLOW)
    assert r.returncode == 1 and b"cannot write log/broker-1.log: Is a directory" in r.stderr and b"No such file" not in r.stderr, r.stderr


def test_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as s:
        listen = f"127.0.0.1:{s.getsockname()[1]}"
        r = subprocess.run([SEALWAY, "up", "--dir", str(tmp_path / "d"), "--listen", listen], capture_output=True)
        assert r.returncode == 2 and b"cannot listen" in r.stderr
    assert not (tmp_path / "d").exists()


def test_a_ready_file_that_is_none(tmp_path):
    """/dev/null, say, would be taken away and be a file with a token afterwards."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for name in ("fifo", "link"):
        r = subprocess.run([SEALWAY, "up", "--dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--ready-file",
                            str(tmp_path / name)], capture_output=True, timeout=20 * SLOW)
        assert r.returncode == 2 and b"not a regular file" in r.stderr
    assert (tmp_path / "fifo").is_fifo() and (tmp_path / "link").is_symlink() and not (tmp_path / "d").exists()


def test_half_a_pair_of_keys(tmp_path):
    """What a power cut leaves between the two; a .key is never made anew by itself."""
    d = tmp_path / "d"
    for name in ("proxy-auth", "node-1"):
        assert subprocess.run([SEALWAY, "keys", "node", "--dir", str(tmp_path), "--name", name], capture_output=True).returncode == 0
        d.mkdir(mode=0o700, exist_ok=True)
        (d / "keys").mkdir(mode=0o700, exist_ok=True)
        (tmp_path / f"{name}.key").rename(d / "keys" / f"{name}.key")
        r = subprocess.run([SEALWAY, "up", "--dir", str(d), "--listen", "127.0.0.1:0"], capture_output=True, timeout=30 * SLOW)
        assert r.returncode == 1 and f"keys/{name}.key is there without its .pub".encode() in r.stderr, r.stderr
        assert not r.stderr.startswith(b"time=")
        (tmp_path / f"{name}.pub").rename(d / "keys" / f"{name}.pub")


def test_long_paths(tmp_path):
    with Up(dir=str(tmp_path / ("long" * 30))) as up:
        assert ask(up).returncode == 0
        assert up.cli("status", "--dir", up.dir).returncode == 0


def test_sigterm_finishes_what_runs():
    with Up("--engine", "echo:rate=10") as up:
        env = dict(os.environ, SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top)
        p = subprocess.Popen([SEALWAY, "complete", "--stream", "--max-tokens", "20", "a b"], env=env,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.stdout.read(1) == b"a"
        up.p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=30 * SLOW)
        assert (p.returncode, len(out.split())) == (0, 19), err
        assert up.p.wait(20 * SLOW) == 0
        assert not os.path.exists(up.ready_file)


def test_second_signal_cuts():
    up = Up("--engine", "echo:rate=1")
    pids = children(up.p.pid)
    env = dict(os.environ, SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top)
    p = subprocess.Popen([SEALWAY, "complete", "--stream", "--max-tokens", "60", "a b"], env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.read(1) == b"a"
    up.p.send_signal(signal.SIGINT)
    time.sleep(0.3)
    up.p.send_signal(signal.SIGINT)
    assert up.p.wait(5 * SLOW) == 1
    out, err = p.communicate(timeout=5 * SLOW)
    assert p.returncode == 1 and (b"cut off" in err or b"broke off" in err), err
    assert all(gone(pid) for pid in pids)
    up.stop(check=False)


def test_killed_it_leaves_no_process():
    up = Up()
    pids = children(up.p.pid)
    up.p.kill()
    wait_for("the children to go", lambda: all(gone(pid) for pid in pids), 3)
    up.stop(check=False)


def test_operators_commands():
    with Up() as up:
        def run(*args, ok=True):
            r = up.cli(*args, "--dir", up.dir)
            assert (r.returncode == 0) == ok, r.stderr
            return r.stdout.decode()

        run("user", "add", "alice")
        run("user", "add", "alice", ok=False)
        assert "5000" in run("user", "fund", "alice", "--micro-usd", "5000", "--reason", "first order")
        assert "4000" in run("user", "fund", "alice", "--micro-usd", "1000", "--take")
        run("user", "fund", "nobody", "--micro-usd", "1", ok=False)
        token = run("token", "create", "alice", "laptop").split()[-1]
        assert token.startswith("sk-sealway-") and token not in run("token")
        r = up.cli("complete", "--token", token, "--model", up.model, "x")
        assert r.returncode == 1 and b"402 BALANCE_ERROR" in r.stderr  # 4000 do not buy a stack
        run("user", "fund", "alice", "--micro-usd", "1000000")
        assert up.cli("complete", "--token", token, "--model", up.model, "x").returncode == 0
        run("token", "revoke", "alice", "laptop")
        assert b"401" in up.cli("complete", "--token", token, "--model", up.model, "x").stderr
        assert "ready" in run("node")
        assert "demo" in run("model")
        assert ask(up).returncode == 0
        stacks = json.loads(run("stack", "--json"))["stacks"]
        assert all(s["free"] + s["reserved"] + s["spent"] == s["bought"] for s in stacks)
        wait_for("billing", lambda: 4 in [u["billed"] for u in json.loads(run("usage", "--json"))["usage"]])
        assert "ledger ok=true" in run("status")


def test_keys(tmp_path):
    d = str(tmp_path / "keys")

    def run(*args):
        return subprocess.run([SEALWAY, "keys", *args, "--dir", d], capture_output=True, text=True)

    assert run("new").returncode == 0 and run("node").returncode == 0
    assert sorted(os.listdir(d)) == sorted(
        [f"{n}.{e}" for n in ("broker", "gateway", "worker", "proxy-request", "proxy-auth", "node")
         for e in ("key", "pub")] + ["peers"])
    assert all(os.stat(os.path.join(d, f)).st_mode & 0o777 == 0o600 for f in os.listdir(d) if f.endswith(".key"))
    before = {f: open(os.path.join(d, f)).read() for f in os.listdir(d)}
    assert run("new").returncode == 1  # nothing is ever overwritten
    assert before == {f: open(os.path.join(d, f)).read() for f in os.listdir(d)}
    lines = [line.split() for line in run("list").stdout.splitlines()]
    assert {line[0]: line[2:] for line in lines if len(line) > 2} == {"gateway": ["allowed:", "gateway"],
                                                                      "worker": ["allowed:", "worker"]}
    listed = {line[0]: line[1] for line in lines}
    assert listed["broker"] == before["broker.pub"].strip()
    roles = [line.split()[:2] for line in before["peers"].splitlines() if not line.startswith("#")]
    assert roles == [["gateway", listed["gateway"]], ["worker", listed["worker"]]]
