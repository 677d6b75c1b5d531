# SPDX-License-Identifier: Apache-2.0
"""kill -9 and SIGSTOP of every kind of process at every stage of a request.

What has to hold after each (docs/ARCHITECTURE.md, What always holds): the client has a whole verified answer or knows
that it has not; the request is settled once, billed what the node's receipt says, nothing for what failed before its
first byte; the ledger adds up; and the service is back within two seconds of the process.
"""
import collections
import os
import statistics
import random

import threading
import time

import pytest

from cluster import SLOW, wait_for
from faults import DEAD_S, HEARTBEAT_MS, KINDS, Asking, Cluster, seconds_until

LONG = bool(os.environ.get("SEALWAY_LONG"))
ROUNDS = 20 if LONG and SLOW == 1 else 1
KILLED = KINDS if SLOW == 1 else ["broker", "worker"]  # the sanitized build is slow; C code ends in these two
BACK_S = 2
WORDS = 24

counted = collections.Counter()
recovered = collections.defaultdict(list)  # seconds from the process being back to the service being back


@pytest.fixture(scope="module")
def cluster():
    with Cluster(rate=20) as c:
        yield c
        c.sound()
    for (stage, kind, outcome), n in sorted(counted.items()):
        print(f"  {stage:15} {kind:8} {outcome:9} {n}")
    for kind, times in sorted(recovered.items()):
        print(f"  service again after a {kind}: {min(times):.2f} to {max(times):.2f} s, median {statistics.median(times):.2f}, of {len(times)}")


def worker_of(c, a):
    """The worker that has the only request in flight."""
    for name in ("worker", "worker2"):
        if c.gauge(name, "sealway_worker_tasks") == 1:
            return name
    raise AssertionError("no worker has it")


def state_is(c, *states):
    return wait_for(f"a request {states}", lambda: [r for r in c.requests() if r["state"] in states])


# --- stages: each starts a request, brings it there, and gives it with what lets it go on ---

def before_dispatch(c):
    """Admitted and waiting: both workers are away."""
    for w in ("worker", "worker2"):
        getattr(c, w).kill()
    wait_for("the workers to be missed", lambda: c.json("status")["workers"] == 0)
    a = Asking(c, WORDS)
    state_is(c, "queued")

    def go():
        for w in ("worker", "worker2"):
            c.begin(w).ready()
    return a, None, go


def assigned(c):
    """Given to a worker that has not taken it up."""
    for w in ("worker", "worker2"):
        c.stop(w)
    a = Asking(c, WORDS)
    state_is(c, "assigned")

    def go():
        for w in ("worker", "worker2"):
            if getattr(c, w).p.poll() is None:
                c.cont(w)
    return a, "worker", go


def posted(c):
    """The worker has said that it posts; the node has not looked at it."""
    for n in ("node", "node2"):
        c.stop(n)
    a = Asking(c, WORDS)
    state_is(c, "posted")
    time.sleep(3 * HEARTBEAT_MS / 1000)  # a job that the gateway cannot know to have reached a dead broker is refused at once

    def go():
        for n in ("node", "node2"):
            if getattr(c, n).p.poll() is None:
                c.cont(n)
    return a, worker_of(c, a), go


def first_byte(c):
    """The node has it and has not answered yet."""
    a = Asking(c, WORDS)
    wait_for("the node to take it", lambda: c.gauge(a.node, "sealway_node_answers_running") == 1)
    return a, worker_of(c, a), lambda: None


def midstream(c):
    a = Asking(c, WORDS)
    a.first_event()
    return a, worker_of(c, a), lambda: None


def at_the_end(c):
    """Answered; the settlement has no acknowledgement, because the broker does not listen."""
    a = Asking(c, 6)
    a.first_event()
    w = worker_of(c, a)
    c.stop("broker")
    assert a.end() == "complete"

    def go():
        if c.broker.p.poll() is None:
            c.cont("broker")
    return a, w, go


STAGES = [before_dispatch, assigned, posted, first_byte, midstream, at_the_end]

# What the client may see, by the kind that is killed.
MAY = {
    "before_dispatch": {"gateway": "lost cut", "broker": "refused", "node": "refused", "worker": "complete"},
    "assigned": {"gateway": "lost cut", "broker": "refused complete", "node": "refused", "worker": "complete"},
    "posted": {"gateway": "lost cut", "broker": "complete", "node": "refused", "worker": "refused"},
    "first_byte": {"gateway": "lost cut", "broker": "complete", "node": "refused cut", "worker": "refused cut"},
    "midstream": {"gateway": "lost cut", "broker": "complete", "node": "cut", "worker": "cut"},
    "at_the_end": dict.fromkeys(KINDS, "complete"),
}


def victim_of(kind, a, worker):
    return {"gateway": "gateway", "broker": "broker", "node": a.node, "worker": worker or "worker"}[kind]


def back(c, kind, name):
    """The service is there again soon after the process is."""
    c.begin(name).ready()
    if kind == "node":
        took = seconds_until(lambda: c.states() == ["ready", "ready"], 15)
    else:
        took = seconds_until(c.serves_everywhere, 15)
    recovered[kind].append(took)
    assert took < BACK_S * SLOW, f"{name} was back, and the service only after {took:.1f} s"


def check_bill(c, a):
    row = c.bill(a.units)
    if a.outcome == "complete":
        assert row["billed"] == a.detail["total_tokens"] == 2 + a.words, row
    elif a.outcome == "refused" and not a.events and row["outcome"] in ("failed", "released", "lost"):
        assert row["billed"] == 0, row
    return row


def kill_round(c, stage, kind):
    a, worker, go = stage(c)
    name = victim_of(kind, a, worker)
    if not (stage is before_dispatch and kind == "worker"):
        getattr(c, name).kill()
    try:
        go()
        if kind == "broker" and getattr(c, name).p.poll() is not None:
            back(c, kind, name)  # what it had in hand is told to clients by its next life
        outcome = a.end()
        assert outcome in MAY[stage.__name__][kind], (stage.__name__, kind, outcome, a.detail)
        counted[stage.__name__, kind, outcome] += 1
    finally:
        if getattr(c, name).p.poll() is not None:
            back(c, kind, name)
    check_bill(c, a)


@pytest.mark.parametrize("kind", KILLED)
@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.__name__)
def test_kill(cluster, stage, kind):
    for _ in range(ROUNDS):
        kill_round(cluster, stage, kind)
    cluster.sound()


@pytest.mark.parametrize("kind", KINDS)
def test_stop_for_longer_than_a_heartbeat(cluster, kind):
    """It wakes as one that was taken for dead: nothing is settled twice, nothing stale is believed."""
    for _ in range(ROUNDS):
        a, worker, _ = midstream(cluster)
        name = victim_of(kind, a, worker)
        cluster.stop(name)
        time.sleep(DEAD_S * 2.5)
        cluster.cont(name)
        outcome = a.end()
        assert outcome in {"gateway": "cut lost complete", "worker": "cut"}.get(kind, "complete"), (outcome, a.detail)
        counted["stopped", kind, outcome] += 1
        check_bill(cluster, a)
        assert seconds_until(cluster.serves_everywhere, 15) < BACK_S * SLOW
    cluster.sound()


def test_a_worker_that_wakes_stops_what_was_broken_off(cluster):
    """Its gateway has told the client meanwhile, and hears it again at once: the node makes no more for nobody."""
    a = Asking(cluster, 20 * WORDS)
    a.first_event()
    name = worker_of(cluster, a)
    cluster.stop(a.node)  # else the worker may try to send in the moment in which it hears no gateway, and notice
    cluster.stop(name)
    assert a.end() == "cut", a.detail
    cluster.cont(name)
    wait_for("it to be back", lambda: [p["hears"] for p in cluster.json("peer", "list")["peers"] if p["role"] == "worker"]
             == 2 * [2 * cluster.threads])
    cluster.cont(a.node)
    assert check_bill(cluster, a)["billed"] < 10 * WORDS
    assert seconds_until(cluster.serves_everywhere, 15) < BACK_S * SLOW


def test_a_dead_worker_does_not_strand_the_others(cluster):
    """Half of the requests are its; the next ones all go to the one that lives."""
    cluster.worker.kill()
    answers = [Asking(cluster, 3) for _ in range(12)]
    outcomes = collections.Counter(a.end() for a in answers)
    assert outcomes == {"complete": 12}, outcomes
    cluster.begin("worker").ready()
    for a in answers:
        check_bill(cluster, a)


STREAMS = 300 if LONG else 50 if SLOW > 1 else 120


def test_broker_restart_with_streams_in_flight(cluster):
    answers = [Asking(cluster, 50, gateway=i % 2) for i in range(STREAMS)]
    for a in answers:
        a.first_event()
    running = sum(a.outcome is None for a in answers)
    assert running > STREAMS / 2, "the streams were too short for this test"
    cluster.broker.kill()

    def refused():
        status, headers, _ = cluster.client().request("GET", "/health")
        return status == 503 and headers
    wait_for("the gateway to miss its broker", refused)
    status, headers, _ = cluster.client().request("POST", "/v1/nodes/lock", {"model": "demo"})
    assert status == 503 and int(headers["retry-after"]) >= 1
    cluster.begin("broker").ready()
    assert seconds_until(cluster.serves_everywhere, 15) < BACK_S * SLOW
    assert collections.Counter(a.end() for a in answers) == {"complete": STREAMS}
    wait_for("the bills", lambda: not cluster.requests(), 40)
    billed = {r["units"]: r["billed"] for r in cluster.rows()}
    assert all(billed[a.units] == a.detail["total_tokens"] for a in answers)
    cluster.sound()


class Load:
    """Clients that go on asking whichever gateway is open; what fails is kept."""

    def __init__(self, c, n):
        self.c, self.open, self.ended = c, [True, True], threading.Event()
        self.done, self.failed, self.broker_away = 0, [], False
        self.threads = [threading.Thread(target=self.go, args=(i,), daemon=True) for i in range(n)]
        for t in self.threads:
            t.start()

    def go(self, i):
        while not self.ended.is_set():
            gateway = next((g for g in (i % 2, 1 - i % 2) if self.open[g]), 0)
            away = self.broker_away
            try:
                a = Asking(self.c, 4, gateway=gateway)
                outcome, why = a.end(), a.detail
            except Exception as e:  # noqa: BLE001 - the lock was refused
                outcome, why = "refused", e
            status = getattr(why, "status", None)
            if outcome == "complete":
                self.done += 1
            elif status == 425 or (status == 503 and (away or self.broker_away)):
                pass  # lock again; or what a broker's restart allows
            elif not self.open[gateway]:
                pass  # it closed its door between our look and our knock
            else:
                self.failed.append((outcome, repr(why)[:300]))

    def end(self):
        self.ended.set()
        for t in self.threads:
            t.join(60 * SLOW)


def test_rolling_restart_under_load(cluster):
    c, load = cluster, Load(cluster, 6)

    def settle(n=6):
        want = load.done + n
        wait_for("more answers", lambda: load.done >= want or load.failed)
    try:
        for name in ("worker", "worker2", "gateway", "gateway2", "broker", "node", "node2"):
            settle()
            if name.startswith("gateway"):
                load.open[name == "gateway2"] = False
            if name == "broker":
                load.broker_away = True
            if name.startswith("node"):
                number = 2 if name == "node2" else 1
                c.run("node", "drain", str(number))
                wait_for("the node to be idle", lambda: c.gauge(name, "sealway_node_answers_running") == 0)
                time.sleep(1.0)  # locks that were given for it are used or taken anew
            getattr(c, name).end()  # SIGTERM: exit 0
            c.begin(name).ready()
            if name.startswith("gateway"):
                wait_for("its broker", lambda: c.serves(name == "gateway2"))
                load.open[name == "gateway2"] = True
            if name == "broker":
                wait_for("the broker", c.serves_everywhere)
                load.broker_away = False
            if name.startswith("node"):
                c.run("node", "drain", str(number), "--off")
                wait_for("the node", lambda: c.states() == ["ready", "ready"])
        settle()
    finally:
        load.end()
    assert not load.failed and load.done >= 48, (load.done, load.failed[:5])
    c.sound()


def test_random_kills_under_load(cluster):
    """Whatever dies whenever: whole answers or clear ends, and a ledger that adds up."""
    seed = int(os.environ.get("SEALWAY_SEED", random.randrange(1 << 32)))
    print(f"  SEALWAY_SEED={seed}")
    rng, c = random.Random(seed), cluster
    streams, rounds = (50, 40) if LONG else (16, 4)
    names, answers, killed = [n for n in c.flags], [], []
    for _ in range(rounds):
        while sum(a.outcome is None for a in answers) < streams:
            try:
                answers.append(Asking(c, rng.randrange(4, 30), gateway=rng.randrange(2)))
            except Exception:  # noqa: BLE001 - refused while something is down: fine here
                time.sleep(0.05)
        time.sleep(rng.random())
        name = rng.choice(names)
        killed.append((round(time.time(), 2), name))
        getattr(c, name).kill()
        time.sleep(rng.random() / 2)
        c.begin(name).ready()
        wait_for("service", lambda: c.serves(0) and c.serves(1), 20)
    outcomes = collections.Counter(a.end() for a in answers)
    print(f"  {dict(outcomes)}")
    assert outcomes["complete"] > 0
    wait_for("everything to be settled", lambda: not c.requests(), 60)
    rows = collections.defaultdict(list)
    for r in c.rows():
        rows[r["units"]].append(r)
    for a in answers:
        assert len(rows[a.units]) <= 1
        if a.outcome == "complete":
            assert [(r["request"], r["billed"]) for r in rows[a.units]] == [(a.name, a.detail["total_tokens"])], \
                (seed, rows[a.units], killed)
    c.sound()


@pytest.mark.parametrize("kinds", [("broker", "node"), ("broker", "worker"), ("worker", "node")], ids="-and-".join)
def test_two_deaths_lose_no_receipt(cluster, kinds):
    """The client has its answer, the broker has not heard of it yet, and two of the three that may have its receipt die."""
    a, worker, go = at_the_end(cluster)
    names = [victim_of(kind, a, worker) for kind in kinds]
    for name in names:
        getattr(cluster, name).kill()
    parts = [cluster.begin(name) for name in reversed(names)]
    go()
    for part in parts:
        part.ready()
    row = cluster.bill(a.units)
    assert (row["request"], row["billed"]) == (a.name, a.detail["total_tokens"]), row
    wait_for("service", lambda: cluster.states() == ["ready", "ready"] and cluster.serves(), 20)
    cluster.sound()
