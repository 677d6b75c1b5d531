# SPDX-License-Identifier: Apache-2.0
"""Starts what is measured: one bench node, the peers in front of it, and sealway over ipc and over tcp with CURVE."""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from ports import free_port  # noqa: E402

MODEL_PATH = "/v1/chat/completions"
SEALED_PATH = "/v1/confidential/chat/completions"


def wait_for(what, check, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if check():
            return
        time.sleep(0.02)
    raise RuntimeError(f"waited in vain for {what}")


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def tree(pid):
    """The process and all below it."""
    out = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path) as f:
                for child in f.read().split():
                    out += tree(int(child))
        except OSError:
            pass
    return out


def cpu_ns(pid):
    """CPU time of a process and its children, from the scheduler's own counters."""
    total = 0
    for p in tree(pid):
        for path in glob.glob(f"/proc/{p}/task/*/schedstat"):
            try:
                with open(path) as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass
    return total


def rss_kb(pid):
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/statm") as f:
                total += int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
        except OSError:
            pass
    return total


class Lab:
    """A directory, the processes in it, and their end."""

    def __init__(self, build, directory, log=print):
        self.build, self.dir, self.log = build, directory, log
        self.running = []  # (name, Popen), in the order of their start
        os.makedirs(directory, exist_ok=True)

    def tool(self, name):
        return os.path.join(self.build, "tests", "bench", name)

    def start(self, name, words, ready=None, cwd=None, env=None):
        path = os.path.join(self.dir, f"{name}.log")
        with open(path, "ab") as log:
            p = subprocess.Popen(words, cwd=cwd or self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env=env or clean_env())
        self.running.append((name, p))

        def up():
            if p.poll() is not None:
                raise RuntimeError(f"{name} ended:\n" + open(path, errors="replace").read()[-3000:])
            return ready()
        if ready:
            wait_for(name, up)
        return p

    def stop(self):
        for name, p in reversed(self.running):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for name, p in reversed(self.running):
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.running = []

    def end_all(self):
        """Ends everything in order, however long it takes."""
        for _, p in reversed(self.running):
            p.send_signal(signal.SIGTERM)
        for _, p in reversed(self.running):
            p.wait(60)
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SEALWAY_")}
    env.update(more)
    return env


class System:
    """Where requests go, how they look there, and which processes do the work."""
    sealed, token, headers, http2, ca = False, None, (), None, None
    streams = True

    def __init__(self, name, port, parts):
        self.name, self.port, self.parts = name, port, parts  # parts: {role: pid}

    def flags(self, http2=False):
        if http2 == "tls":
            return self.flags() + ["--tls", "--ca", self.ca]
        port = self.http2 if http2 else self.port
        out = ["--to", f"127.0.0.1:{port}", "--path", SEALED_PATH if self.sealed else MODEL_PATH]
        out += ["--http2"] if http2 else []
        out += ["--sealed"] if self.sealed else []
        out += ["--token", self.token] if self.token else []
        for h in self.headers:
            out += ["--header", h]
        return out


class Sealway(System):
    """broker, worker(s) and gateway(s) on one machine; the node joins through self.url."""
    sealed = True

    def __init__(self, lab, name, curve=False, worker_flags=(), broker_flags=(), gateway_flags=(), workers=1, under=None):
        """under: role -> words that its program runs under."""
        self.under = under or (lambda role: [])
        self.lab, self.curve, self.broker_flags = lab, curve, list(broker_flags)
        self.dir = os.path.join(lab.dir, name)
        os.makedirs(self.dir)
        self.run("keys", "new", "--dir", "keys")
        self.bus = f"tcp://127.0.0.1:{free_port()}" if curve else f"ipc://{self.dir}/bus"
        os.chmod(self.dir, 0o700)
        parts = {"broker": self.part("broker", *self.broker_words(), *broker_flags)}
        for i in range(workers):
            parts[f"worker{i or ''}"] = self.part("worker", *self.worker_words(i), *worker_flags, index=i)
        port = free_port()
        parts["gateway"] = self.part("gateway", *self.gateway_words(port), *gateway_flags)
        super().__init__(name, port, parts)
        self.http2 = port  # the same port speaks both
        self.url = f"http://127.0.0.1:{port}"

    def broker_words(self):
        return ["--bus", self.bus, "--admin", f"ipc://{self.dir}/admin", "--database", "ledger.db",
                "--node-networks", "127.0.0.0/8", "--user-rate", "0", "--user-concurrent", "0", "--queue-max", "65536",
                "--stack-units", "1000000000000"] + (
            ["--curve-key", "keys/broker.key", "--peers", "keys/peers"] if self.curve else [])

    def worker_words(self, i):
        publish = "tcp://127.0.0.1:*" if self.curve else f"ipc://{self.dir}/worker-{i}"
        return ["--brokers", self.bus, "--publish", publish, "--request-key", "keys/proxy-request.key", "--auth-key",
                "keys/proxy-auth.key", "--node-networks", "127.0.0.0/8", "--capacity", "18000"] + self.curve_words("worker")

    def gateway_words(self, port):
        return ["--brokers", self.bus, "--listen", f"127.0.0.1:{port}", "--max-inflight", "65536", "--max-conns",
                "18000", "--body-budget", "1G"] + self.curve_words("gateway")

    def curve_words(self, role):
        return ["--broker-key", "keys/broker.pub", "--curve-key", f"keys/{role}.key"] if self.curve else []

    def tls_front(self, ca, key):
        """The same system through one more gateway, which serves HTTPS."""
        port = free_port()
        pid = self.part("gateway", *self.gateway_words(port), "--tls-cert", ca, "--tls-key", key, index="-tls")
        s = System("sealway-tls", port, dict(self.parts, gateway=pid))
        s.sealed, s.token, s.ca = True, self.token, ca
        return s

    def restart_broker(self, change):
        """Takes the broker down, calls change with its database, and starts it again."""
        name = f"{os.path.basename(self.dir)}-broker0"
        at = next(i for i, (n, _) in enumerate(self.lab.running) if n == name)
        p = self.lab.running.pop(at)[1]
        p.terminate()
        p.wait(20)
        change(os.path.join(self.dir, "ledger.db"))
        os.remove(os.path.join(self.dir, "broker0.ready"))
        self.parts["broker"] = self.part("broker", *self.broker_words(), *self.broker_flags)

    def run(self, *args):
        r = subprocess.run([os.path.join(self.lab.build, "client", "sealway"), *args], cwd=self.dir, text=True,
                           capture_output=True, timeout=30,
                           env=clean_env(HOME=self.dir, SEALWAY_ADMIN=f"ipc://{self.dir}/admin"))
        if r.returncode:
            raise RuntimeError(f"sealway {' '.join(args)}: {r.stderr}")
        return r.stdout

    def part(self, role, *words, index=0):
        ready = os.path.join(self.dir, f"{role}{index}.ready")
        p = self.lab.start(f"{os.path.basename(self.dir)}-{role}{index}",
                           [*self.under(role), os.path.join(self.lab.build, role, f"sealway-{role}"), *words, "--ready-file", ready,
                            "--log-level", "warn"], lambda: os.path.exists(ready), cwd=self.dir)
        return p.pid

    def admit(self, node_public_key):
        self.admit_node(node_public_key, 1)
        self.run("user", "add", "bench")
        self.run("user", "fund", "bench", "--micro-usd", "1000000000000", "--reason", "bench")
        self.token = next(w for w in self.run("token", "create", "bench", "bench").split() if w.startswith("sk-sealway-"))

    def admit_node(self, public_key, number):
        shutil.copy(public_key, os.path.join(self.dir, f"node{number}.pub"))
        self.run("node", "admit", f"node{number}.pub", "--id", str(number))

    def wait_node(self, model="bench"):
        wait_for("the node at " + self.name, lambda: model in self.run("model", "list").split())


def start_node(lab, sealways, processes=1):
    """The one node of all rows; the same signing key at each sealway system."""
    keys = os.path.join(lab.dir, "nodekeys")
    sealways[0].run("keys", "node", "--dir", keys)
    pub = os.path.join(keys, "node.pub")
    for s in sealways:
        s.admit(pub)
    ready = os.path.join(lab.dir, "node.ready")
    p = lab.start("node", [lab.tool("bench-node"), "--sign-key", os.path.join(keys, "node.key"), "--node-id", "1",
                           "--gateway", " ".join(s.url for s in sealways), "--processes", str(processes),
                           "--ready-file", ready], lambda: os.path.exists(ready))
    lab.node_pid, lab.node_processes = p.pid, processes
    for s in sealways:
        s.wait_node()
    port = int(json.load(open(ready))["listen"].split(":")[1])
    return System("direct", port, {"node": p.pid})


def start_second_node(lab, sealway, model):
    """Another node with a model of its own, for more connections than one pair of addresses has ports."""
    keys = os.path.join(lab.dir, "nodekeys2")
    sealway.run("keys", "node", "--dir", keys)
    sealway.admit_node(os.path.join(keys, "node.pub"), 2)
    ready = os.path.join(lab.dir, "node2.ready")
    lab.start("node2", [lab.tool("bench-node"), "--sign-key", os.path.join(keys, "node.key"), "--node-id", "2", "--model",
                        model, "--gateway", sealway.url, "--ready-file", ready], lambda: os.path.exists(ready))
    sealway.wait_node(model)


def certificate(lab):
    """Files of a certificate for 127.0.0.1 (which is its own authority) and of its key."""
    ca, key = os.path.join(lab.dir, "tls.pem"), os.path.join(lab.dir, "tls.key")
    if not os.path.exists(ca):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", ca],
                       check=True, capture_output=True)
    return ca, key


def fill(lab, template, node_port):
    """A peer's configuration with this run's ports: plain, HTTP/2, TLS."""
    ports = [free_port() for _ in range(3)]
    text = open(os.path.join(HERE, "peers", template)).read()
    for k, v in (("@DIR@", lab.dir), ("@NODE@", f"127.0.0.1:{node_port}"), ("@PORT@", ports[0]), ("@PORT2@", ports[1]),
                 ("@PORT3@", ports[2])):
        text = text.replace(k, str(v))
    path = os.path.join(lab.dir, template)
    with open(path, "w") as f:
        f.write(text)
    return path, *ports


def start_nginx(lab, node_port):
    """nginx, and itself once more as who serves TLS."""
    ca, _ = certificate(lab)
    path, port, port2, port3 = fill(lab, "nginx.conf", node_port)
    p = lab.start("nginx", ["nginx", "-c", path, "-e", os.path.join(lab.dir, "nginx.log")], lambda: connects(port))
    s, tls = (System(name, at, {"nginx": p.pid}) for name, at in (("nginx", port), ("nginx-tls", port3)))
    s.http2, tls.ca = port2, ca
    return s, tls


def start_haproxy(lab, node_port):
    path, port, port2, _ = fill(lab, "haproxy.cfg", node_port)
    p = lab.start("haproxy", ["haproxy", "-db", "-f", path], lambda: connects(port))
    s = System("haproxy", port, {"haproxy": p.pid})
    s.http2 = port2
    return (s,)


def portkey_server(modules):
    return os.path.join(modules, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js")


def start_portkey(lab, node_port, modules):
    port = free_port()
    p = lab.start("portkey", ["node", "--require", os.path.join(HERE, "peers", "loopback.js"), portkey_server(modules),
                              f"--port={port}", "--headless"], lambda: connects(port), env=clean_env(NODE_ENV="production"))
    s = System("portkey", port, {"portkey": p.pid})
    s.token = "bench"
    s.headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{node_port}/v1")
    s.streams = False  # 1.15.2 answers 500 to streams on Node.js 20 ("TypeError: immutable")
    return (s,)
