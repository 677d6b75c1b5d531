# SPDX-License-Identifier: Apache-2.0
"""A cluster whose every process can be stopped and killed at a chosen moment: two gateways, two workers, two nodes and
a broker over tcp with CURVE, and clients that know what became of their request."""
import http.client
import json
import os
import signal
import threading
import time
import traceback

from cluster import SLOW, wait_for
from parts import Parts, free_port, get, parse_metrics
from sealclient import Client, Cut, H, Refused, text_of

HEARTBEAT_MS = 200 if SLOW == 1 else 500
DEAD_S = 3 * HEARTBEAT_MS / 1000
KINDS = ["gateway", "broker", "worker", "node"]


class Cluster(Parts):
    def __init__(self, rate, heartbeat_ms=HEARTBEAT_MS):
        super().__init__(engine=f"echo:rate={rate}")
        self.run("keys", "node", "--dir", "keys", "--name", "node2")
        self.ports = [self.gateway_port, free_port()]
        self.flags = {
            "broker": ["--heartbeat-ms", str(heartbeat_ms), "--claim-ms", str(10 * heartbeat_ms), "--work-ms", "60000"],
            "gateway": [], "gateway2": ["--listen", f"127.0.0.1:{self.ports[1]}"], "worker": [], "worker2": [],
            "node": self.registering(), "node2": ["--node-id", "2", "--sign-key", "keys/node2.key", *self.registering()],
        }
        for name in self.flags:
            self.begin(name)
        self.operate()
        self.run("node", "admit", "keys/node2.pub", "--id", "2")
        wait_for("both nodes", lambda: self.states() == ["ready", "ready"])
        wait_for("both gateways", lambda: all(self.serves(i) for i in (0, 1)))
        self.threads = os.cpu_count()  # of each gateway
        self.number = 20000  # of units reserved by the next request: its name in the ledger

    def registering(self):
        return ["--gateway", " ".join(f"http://127.0.0.1:{p}" for p in self.ports), "--register-interval-s", "1",
                "--validity-s", "30", "--models",
                "name=demo price=1000 max_concurrent=1000 max_units=1048576 lock_units=8192"]

    def begin(self, name):
        """Starts a part (again) as it was."""
        if getattr(self, name, None) in self.started:
            self.started.remove(getattr(self, name))
        return self.start(name.rstrip("2"), *self.flags[name], name=name)

    def json(self, *args):
        return json.loads(self.run(*args, "--json"))

    def states(self):
        return [n["state"] for n in sorted(self.json("node", "list")["nodes"], key=lambda n: n["node"])]

    def requests(self):
        return self.json("request", "list")["requests"]

    def client(self, gateway=0):
        return Client(f"http://127.0.0.1:{self.ports[gateway]}", self.token, timeout=60)

    def gauge(self, name, what):
        part = getattr(self, name)
        return parse_metrics(get(part.ready()["admin"], "/metrics")[2])[what]

    def serves(self, gateway=0):
        """Whether a whole request gets through."""
        c = self.client(gateway)
        try:
            e = c.seal({"model": "demo", "prompt": "x", "max_tokens": 1}, lock=c.lock(units=16), units=16)
            return text_of([c.post("completions", e)]) == "x"
        except (OSError, http.client.HTTPException, Refused):
            return False

    def serves_everywhere(self):
        """Whether every thread of both gateways has the broker, and a whole request gets through."""
        return all(self.gauge(g, "sealway_gateway_broker_links") == self.threads for g in ("gateway", "gateway2")) and self.serves()

    def rows(self, units=None):
        """Settlements, or those of the request that reserved so many units."""
        rows = [json.loads(x) for x in self.run("ledger", "export").splitlines()]
        return rows if units is None else [r for r in rows if r["units"] == units]

    def bill(self, units):
        """The one settlement of a request."""
        def there():
            r = self.sealway("ledger", "export")
            return r.returncode == 0 and [x for x in map(json.loads, r.stdout.splitlines()) if x["units"] == units]
        rows = wait_for(f"the settlement of {units}", there, 100)  # a lost question is asked again after five heartbeats
        assert len(rows) == 1, rows
        assert 0 <= rows[0]["billed"] <= units
        return rows[0]

    def sound(self):
        """Nothing in flight any more, and the ledger adds up: in memory and on the disk."""
        wait_for("everything to be settled", lambda: not self.requests(), 40)
        assert self.json("ledger", "check") == {"ok": True, "problems": []}
        rows = self.rows()
        assert len({r["request"] for r in rows}) == len(rows)
        spent = sum(s["spent"] for s in self.json("stack", "list")["stacks"])
        assert spent == sum(r["billed"] for r in rows)

    def stop(self, name):
        os.kill(getattr(self, name).p.pid, signal.SIGSTOP)

    def cont(self, name):
        os.kill(getattr(self, name).p.pid, signal.SIGCONT)


def public_name(request_id):
    """What the ledger calls a request."""
    return H(b"sealway-request-name-v1" + request_id)[:16].hex()


class Asking(threading.Thread):
    """One streamed request, and what the client knows of its end in .outcome: complete, refused, cut or lost."""

    def __init__(self, cluster, words, gateway=0):
        super().__init__(daemon=True)
        cluster.number += 1
        self.units, self.words = cluster.number, words
        self.c = cluster.client(gateway)
        self.lock = self.c.lock(units=self.units, timeout=60)
        self.node = "node2" if self.lock["node_small_id"] == 2 else "node"
        # with the number: else a smaller lock that somebody left would be used up by it
        self.e = self.c.seal({"model": "demo", "prompt": "a b", "max_tokens": words, "stream": True}, stream=True,
                             units=self.units, lock=self.lock)
        self.first, self.outcome, self.detail, self.events = threading.Event(), None, None, 0
        self.start()

    def event(self, kind, data):
        self.events += 1
        self.first.set()

    def run(self):
        try:
            objects = self.c.post_stream("completions", self.e, self.event)  # opens and verifies all of it
            text = text_of(objects)
            assert text == " ".join(("a b " * self.words).split()[:self.words]), text
            self.name = public_name(self.e.receipt[3:19])
            self.detail, self.outcome = objects[-1]["usage"], "complete"
        except Refused as e:
            self.detail, self.outcome = e, "refused"
        except Cut as e:
            self.detail, self.outcome = e, "cut"
        except (OSError, http.client.HTTPException) as e:
            self.detail, self.outcome = e, "lost"
        except BaseException as e:  # a short answer that looked whole ends here, too
            self.detail, self.outcome = "".join(traceback.format_exception(e)), "wrong"
        self.first.set()

    def end(self, seconds=40):
        self.join(seconds * SLOW)
        assert self.outcome and self.outcome != "wrong", (self.outcome, self.detail)
        if self.outcome == "refused":
            # a node that came back has a new key: what was sealed to the old one says so
            again = self.detail.status == 425 and self.detail.error["reason"] in ("key_unknown", "key_rotated")
            assert self.detail.error["code"] and (again or self.detail.status in (500, 503, 504)), self.detail
            assert self.detail.status != 503 or int(self.detail.headers["retry-after"]) >= 1
        return self.outcome

    def first_event(self):
        assert self.first.wait(30 * SLOW) and self.events, (self.outcome, self.detail)


def seconds_until(check, limit):
    """Time until check() holds."""
    began = time.monotonic()
    wait_for("service again", check, limit)
    return time.monotonic() - began
