# SPDX-License-Identifier: Apache-2.0
"""Networks that fail between hosts: each process in a network namespace of its own, over tcp with CURVE.

A link goes down and comes up; a relay in user space delays everything, or stands still.  Clients have whole verified
answers or clear errors, the ledger adds up, and the service is back soon after the link is.  Needs root and iproute2.
"""
import itertools
import os
import socket
import subprocess
import sys
import time

import pytest

from cluster import SLOW, wait_for
from faults import Asking, Cluster, seconds_until
from parts import Parts
from sealclient import Client

HOSTS = {"broker": 2, "worker": 3, "gateway": 4, "node": 5}
ROUNDS = 5 if os.environ.get("SEALWAY_LONG") and SLOW == 1 else 1
HEARTBEAT_MS = 300
BACK_S = 10  # TCP repeats itself at growing intervals
RELAY = r"""
import os, selectors, socket, sys, time
# relay HOST PORT TO_HOST TO_PORT FILE: passes bytes on after the seconds that FILE says, nothing while it says "stop"
def rule():
    return open(sys.argv[5]).read().strip()
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
sel, queues, peer = selectors.DefaultSelector(), {}, {}
sel.register(listener, selectors.EVENT_READ)
def drop(s):
    for x in (s, peer.get(s)):
        if x in peer:
            sel.unregister(x); del peer[x]; queues.pop(x, None); x.close()
while True:
    ready = [k.fileobj for k, _ in sel.select(0.005)]
    now, how = time.monotonic(), rule()
    if how == "stop":
        time.sleep(0.02)
        continue
    for s in ready:
        if s is listener:
            a = s.accept()[0]
            try:
                b = socket.create_connection((sys.argv[3], int(sys.argv[4])))
            except OSError:  # nobody there yet
                a.close()
                continue
            peer[a], peer[b], queues[a], queues[b] = b, a, [], []
            for x in (a, b):
                x.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sel.register(x, selectors.EVENT_READ)
        elif s in peer:
            try:
                data = s.recv(65536)
            except OSError:
                data = b""
            if not data:
                drop(s)
                continue
            queues[peer[s]].append((now + float(how or 0), data))
    for s in list(queues):
        while s in queues and queues[s] and queues[s][0][0] <= now:
            try:
                s.sendall(queues[s].pop(0)[1])
            except OSError:
                drop(s)
"""


def ip(*words):
    r = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert r.returncode == 0, f"ip {' '.join(words)}: {r.stderr} (needs root and iproute2)"


class Hosts:
    """A namespace per host, each with a link to a bridge in one more, and this process on the bridge by a link of its own."""
    count = itertools.count()

    def __init__(self):
        self.tag = f"sw{os.getpid() % 100000}{next(self.count)}"
        self.net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.made = []
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise

    def make(self):
        self.add("x")
        ip("-n", self.name("x"), "link", "add", "name", "sw0", "type", "bridge")
        ip("-n", self.name("x"), "link", "set", "sw0", "up")
        for host, n in HOSTS.items():
            self.add(host)
            ip("-n", self.name("x"), "link", "add", "name", f"to-{host}", "type", "veth", "peer", "name", "eth",
               "netns", self.name(host))
            ip("-n", self.name("x"), "link", "set", f"to-{host}", "master", "sw0", "up")
            ip("-n", self.name(host), "addr", "add", f"{self.net}.{n}/24", "dev", "eth")
            for dev in ("lo", "eth"):
                ip("-n", self.name(host), "link", "set", dev, "up")
        self.link = self.tag + "h"
        ip("link", "add", self.link, "type", "veth", "peer", "name", "to-test", "netns", self.name("x"))
        ip("-n", self.name("x"), "link", "set", "to-test", "master", "sw0", "up")
        ip("addr", "add", f"{self.net}.1/24", "dev", self.link)
        ip("link", "set", self.link, "up")

    def name(self, host):
        return f"{self.tag}-{host}"

    def add(self, host):
        ip("netns", "add", self.name(host))
        self.made.append(host)

    def address(self, host):
        return f"{self.net}.{HOSTS[host]}"

    def set(self, host, state):
        ip("-n", self.name("x"), "link", "set", f"to-{host}", state)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in self.made:
            subprocess.run(["ip", "netns", "del", self.name(host)], check=True)  # its links go with it


class Net(Parts):
    def __init__(self, hosts, folder):
        super().__init__("echo:rate=20")
        self.hosts, self.number, self.rule = hosts, 20000, os.path.join(folder, "rule")
        self.relays = []
        self.pass_on("0")
        self.relayed = self.bus + 1
        self.relay("broker", self.relayed, self.bus)
        self.relay("node", 8091, 8090)
        self.names = os.path.join(folder, "hosts")
        self.know_broker(True)
        with open(os.path.join(folder, "resolv.conf"), "w") as f:
            f.write(f"nameserver {hosts.net}.99\noptions timeout:2 attempts:1\n")  # nobody is there
        bus = ["--brokers", f"tcp://broker.test:{self.relayed}"]
        nets = ["--node-networks", f"{hosts.net}.0/24"]
        gateway = f"{hosts.address('gateway')}:{self.gateway_port}"
        self.host_flags = {
            "broker": ["--bus", f"tcp://{hosts.address('broker')}:{self.bus}", "--heartbeat-ms", str(HEARTBEAT_MS),
                       "--claim-ms", "3000", "--work-ms", "20000", *nets],
            "worker": [*bus, *nets, "--publish", f"tcp://{hosts.address('worker')}:*", "--gap-s", "4",
                       "--connect-s", "2", "--first-byte-s", "4"],
            "gateway": [*bus, "--listen", gateway, "--dispatch-ms", "3000", "--control-ms", "2000"],
            "node": ["--listen", f"{hosts.address('node')}:8090", "--gateway", f"http://{gateway}",
                     "--public-address", f"http://{hosts.address('node')}:8091", "--register-interval-s", "1"],
        }
        self.ports = [self.gateway_port]

    def begin(self):
        for role in HOSTS:
            self.start(role, *self.host_flags[role])
        self.operate()
        wait_for("the service", self.serves, 20)

    def relay(self, host, port, to):
        a = self.hosts.address(host)
        self.relays.append(subprocess.Popen(["ip", "netns", "exec", self.hosts.name(host), sys.executable, "-c", RELAY,
                                             a, str(port), a, str(to), self.rule]))

    def pass_on(self, how):
        with open(self.rule + ".new", "w") as f:
            f.write(how)
        os.rename(self.rule + ".new", self.rule)

    @property
    def url(self):
        return f"http://{self.hosts.address('gateway')}:{self.gateway_port}"

    def know_broker(self, known):
        """Whether the broker's name stands in everybody's /etc/hosts."""
        with open(self.names, "w") as f:
            f.write("127.0.0.1 localhost\n" + (f"{self.hosts.address('broker')} broker.test\n" if known else ""))

    def prefix(self, role):
        folder = os.path.dirname(self.names)
        return ["ip", "netns", "exec", self.hosts.name(role), "sh", "-c",
                f"for f in hosts resolv.conf; do mount --bind {folder}/$f /etc/$f || exit; done; exec \"$0\" \"$@\""]

    def reachable(self, host):
        """Whether a host answers at all: by refusing a port on which nobody listens."""
        try:
            socket.create_connection((self.hosts.address(host), 9), timeout=0.5).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return True

    def client(self, gateway=0):
        return Client(self.url, self.token, timeout=60)

    def __exit__(self, kind, *rest):
        try:
            super().__exit__(kind, *rest)
        finally:
            for r in self.relays:
                r.kill()
                r.wait()


Net.json, Net.requests, Net.serves, Net.bill = Cluster.json, Cluster.requests, Cluster.serves, Cluster.bill
Net.rows, Net.sound = Cluster.rows, Cluster.sound


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    with Hosts() as hosts, Net(hosts, str(tmp_path_factory.mktemp("relay"))) as n:
        n.begin()
        yield n
        n.sound()


def back(n, what):
    try:
        took = seconds_until(n.serves, BACK_S)
    except AssertionError:
        print(n.logs())
        raise
    print(f"  {what}: served again after {took:.2f} s")
    wait_for("everything to be settled", lambda: not n.requests(), 60)


def steady(n):
    """A connection that one side has given up may go down once more after the first success."""
    good, end = 0, time.time() + 30 * SLOW
    while good < 5:
        assert time.time() < end, "the links do not hold"
        good = good + 1 if n.serves() else 0
        time.sleep(0.2)


def bills(n, answers):
    """Whole answers are billed what they say; nothing is billed twice or above its reservation."""
    for a in answers:
        row = n.bill(a.units)
        if a.outcome == "complete":
            assert row["billed"] == a.detail["total_tokens"] == a.words + 2, row


@pytest.mark.parametrize("host", HOSTS if SLOW == 1 else ["worker"])
def test_a_link_goes_down_and_comes_up(net, host):
    for _ in range(ROUNDS):
        steady(net)
        # without the broker answers go on: these also beyond its return
        answers = [Asking(net, 100 if host == "broker" else 40) for _ in range(4)]
        for a in answers:
            a.first_event()
        assert net.reachable(host)
        net.hosts.set(host, "down")
        assert not net.reachable(host)
        time.sleep(5 * HEARTBEAT_MS / 1000)
        net.hosts.set(host, "up")
        if host == "broker":
            back(net, "link of broker down")
        outcomes = [a.end() for a in answers]
        assert host != "broker" or set(outcomes) == {"complete"}, outcomes
        back(net, f"link of {host} down, {outcomes}")
        bills(net, answers)


class Watching(Asking):
    """Knows the longest time between two events."""
    last, longest = None, 0

    def event(self, kind, data):
        now = time.monotonic()
        self.longest = max(self.longest, now - (self.last or now))
        self.last = now
        super().event(kind, data)


def test_a_name_server_that_is_silent(net):
    """Looking in vain for the broker's name, gateway and worker go on with their answers."""
    answers = [Watching(net, 50) for _ in range(4)]
    for a in answers:
        a.first_event()
    net.know_broker(False)
    net.broker.kill()
    assert {a.end() for a in answers} == {"complete"}
    net.know_broker(True)
    print(f"  longest standstill: {max(a.longest for a in answers):.2f} s")
    assert max(a.longest for a in answers) < 1
    net.started.remove(net.broker)
    net.start("broker", *net.host_flags["broker"])
    back(net, "broker's name was unknown")
    bills(net, answers)


def test_delay_changes_nothing(net):
    net.pass_on("0.1")
    try:
        answers = [Asking(net, 10) for _ in range(4)]
        assert {a.end() for a in answers} == {"complete"}
    finally:
        net.pass_on("0")
    bills(net, answers)


def test_the_network_stands_still(net):
    """Longer than the heartbeat limit, with every connection open: broker and node are silent, not gone."""
    answers = [Asking(net, 40) for _ in range(4)]
    for a in answers:
        a.first_event()
    net.pass_on("stop")
    time.sleep(5 * HEARTBEAT_MS / 1000)
    assert not net.serves()
    net.pass_on("0")
    outcomes = [a.end() for a in answers]
    back(net, f"relays stood still, {outcomes}")
    bills(net, answers)
