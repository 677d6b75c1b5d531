# SPDX-License-Identifier: Apache-2.0
"""What the running processes have given up, which files they hold, and what stays in the broker's memory."""
import os
import random
import re
import signal
import time

import pytest

from cluster import children
from parts import Parts
from sealclient import Client

SANITIZED = bool(os.environ.get("SEALWAY_SANITIZED"))


def status(pid):
    return dict(re.findall(r"^(\w+):\s*(.*)$", open(f"/proc/{pid}/status").read(), re.M))


def roles(up):
    """{role: [pid]} by the names of the programs."""
    out = {}
    for pid in children(up.p.pid):
        name = os.path.basename(os.readlink(f"/proc/{pid}/exe")).removeprefix("sealway-")
        out.setdefault(name, []).append(pid)
    assert {"broker", "gateway", "worker", "node"} <= set(out)
    return out


def test_rights_are_given_up(up):
    for role, pids in roles(up).items():
        for pid in pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                s = status(f"{pid}/task/{thread}")
                assert (s["Seccomp"], s["NoNewPrivs"]) == ("2", "1"), (role, thread)
            core = re.search(r"Max core file size\s+(\d+)\s+(\d+)", open(f"/proc/{pid}/limits").read())
            assert core.groups() == ("0", "0"), role


def test_only_the_broker_opens_the_database(up, client):
    client.post("completions", client.seal({"model": client.model, "prompt": "a b"}))
    for role, pids in roles(up).items():
        for pid in pids:
            held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
                    if os.path.islink(f"/proc/{pid}/fd/{fd}")]
            mapped = open(f"/proc/{pid}/maps").read()
            ledger = [f for f in held if "ledger" in f]
            if role == "broker":
                assert ledger and "libsqlite3" in mapped
            else:
                assert not ledger and "libsqlite3" not in mapped and "ledger" not in mapped, role
            assert not [f for f in held if f.endswith(".key")], f"{role} keeps a key file open"


def memory(pid):
    """All that the process has written into: heap, stacks, data."""
    out = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw") or "[v" in line:
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(begin)
                out.append(mem.read(end - begin))
            except OSError:
                pass  # guard pages, and pages of another kind
    return b"".join(out)


@pytest.mark.parametrize("setting", ["true", "false"])
def test_seccomp_can_be_switched_off(setting):
    with Parts() as p:
        b = p.start("broker", "--seccomp=" + setting)
        b.ready()
        assert status(b.p.pid)["Seccomp"] == ("2" if setting == "true" else "0")
        assert ("seccomp_off" in b.log()) == (setting == "false")


POLICY = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle"}


def policies(pid):
    return {POLICY[os.sched_getscheduler(int(thread))] for thread in os.listdir(f"/proc/{pid}/task")}


def test_woken_threads_wait_for_their_turn(up):
    """All of them, ZeroMQ's and the ledger's too; the node's engine is not ours to slow down."""
    for role, pids in roles(up).items():
        for pid in pids:
            assert policies(pid) == ({"other"} if role == "node" else {"batch"}), role


@pytest.mark.parametrize("flags,before,after", [(["--batch=false"], os.SCHED_OTHER, "other"), ([], os.SCHED_IDLE, "idle")])
def test_the_operators_choice_of_scheduling_stays(flags, before, after):
    with Parts() as p:
        mine = os.sched_getscheduler(0)
        os.sched_setscheduler(0, before, os.sched_param(0))
        try:
            b = p.start("broker", *flags)  # inherits it
        finally:
            os.sched_setscheduler(0, mine, os.sched_param(0))
        b.ready()
        assert policies(b.p.pid) == {after}


def test_the_broker_never_has_a_token(up, client):
    """It is told the hash of a token alone, and wipes those that it makes; that the search finds what is there
    is shown by the name of the model."""
    for _ in range(3):
        client.post("completions", client.seal({"model": client.model, "prompt": "a b"}))
    extra = Client(up.url, "sk-sealway-" + os.urandom(24).hex(), up.model)
    assert extra.request("GET", "/v1/models")[0] == 401
    if SANITIZED:  # its shadow memory is terabytes of address space: the plain build looks
        assert roles(up)["broker"]
        return
    for token in (client.token, extra.token):
        for role in ("broker", "worker", "node"):
            for pid in roles(up)[role]:
                assert token.encode() not in memory(pid), role
    assert client.model.encode() in memory(roles(up)["broker"][0])


def takes_sigterm(pid):
    """Whether a handler stands, or it is over already."""
    try:
        return int(status(pid)["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1
    except (KeyError, OSError):
        return True


@pytest.mark.parametrize("role", ["broker", "worker", "gateway", "node"])
def test_sigterm_from_the_first_moments(role):
    """It ends with status 0 whenever SIGTERM comes, also before it has anything to drain."""
    for i in range(6):
        with Parts() as p:
            part = p.start(role)
            while not takes_sigterm(part.p.pid):
                assert part.p.poll() is None
            time.sleep(random.random() * 0.01 * i)
            part.end()
