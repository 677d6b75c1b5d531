# SPDX-License-Identifier: Apache-2.0
"""The four processes by themselves: the README's commands over tcp with CURVE, in any order, with wrong
keys, with bad settings, with a broker that goes and comes."""
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster import SLOW, binary, wait_for
from parts import Parts, free_port, get, parse_metrics, plain_env
from sealclient import Client, Refused, text_of

ROLES = ("broker", "worker", "gateway", "node")


@pytest.fixture(scope="module")
def four():
    """All four, serving, shared by the tests that do them no harm."""
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        yield p


def client_of(p):
    return Client(p.url, p.token)


def complete(c, **plain):
    e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": 3, **plain}, stream=plain.get("stream"))
    return text_of(c.post_stream("completions", e) if plain.get("stream") else [c.post("completions", e)])


# --- the commands as they stand ---

def test_completion_by_the_command(four):
    for form in ([], ["--stream"]):
        r = four.ask(*form)
        assert (r.returncode, r.stdout) == (0, "a b a\n"), r.stderr
    assert "ledger ok=true" in four.run("status")


def test_completion_by_another_client(four):
    c = client_of(four)
    assert complete(c) == complete(c, stream=True) == "a b a"
    before = sum(int(line.split()[-1]) for line in four.run("usage").splitlines()[1:])
    complete(c)
    wait_for("the bill", lambda: sum(int(x.split()[-1]) for x in four.run("usage").splitlines()[1:]) == before + 5)


def test_ready_files_and_admin_listeners(four):
    for role in ROLES:
        part = getattr(four, role)
        info = part.ready()
        assert info["pid"] == part.p.pid
        assert os.stat(part.ready_file).st_mode & 0o777 == 0o600
        for path, text in (("/health", "ok\n"), ("/ready", "ready\n")):
            assert get(info["admin"], path)[::2] == (200, text)
            r = subprocess.run(["curl", "-sI", "-m", "10", f"http://{info['admin']}{path}"], capture_output=True, text=True)
            assert r.stdout.startswith("HTTP/1.1 200 "), r.stdout
        assert get(info["admin"], "/nothing")[0] == 404
        assert info["admin"].startswith("127.0.0.1:")


def test_metrics_rise_with_requests(four):
    c = client_of(four)

    def read():
        m = {}
        for role in ROLES:
            for k, v in getattr(four, role).metrics().items():
                assert k.startswith(f"sealway_{role}_"), k
                m[k] = v
        return m

    done = 'outcome="complete"'
    rising = {
        'sealway_gateway_requests_total{endpoint="confidential_completions",outcome="ok"}': 4,
        'sealway_gateway_requests_total{endpoint="confidential_completions",outcome="refused"}': 1,
        'sealway_gateway_request_seconds_count{endpoint="confidential_completions"}': 5,
        "sealway_gateway_first_byte_seconds_count": 4,
        "sealway_broker_jobs_total": 4,
        "sealway_broker_locks_total": 4,
        "sealway_broker_units_billed_total": 20,
        "sealway_broker_settled_total{%s}" % done: 4,
        "sealway_worker_requests_total{%s}" % done: 4,
        "sealway_worker_units_total": 20,
        "sealway_worker_first_byte_seconds_count": 4,
    }
    before = read()
    for i in range(4):
        assert complete(c, stream=bool(i % 2)) == "a b a"
    assert c.request("POST", "/v1/confidential/completions", {})[0] == 400
    wait_for("all settled", lambda: read()["sealway_broker_settled_total{%s}" % done] ==
             before["sealway_broker_settled_total{%s}" % done] + 4)
    after = read()
    wrong = {k: (before[k], after[k]) for k, n in rising.items() if after[k] - before[k] != n}
    assert not wrong
    counters = [k for k in before if "_total" in k or "_count" in k or "_bucket" in k]
    assert not [k for k in counters if after[k] < before[k]]
    assert after["sealway_gateway_chunks_total"] - before["sealway_gateway_chunks_total"] >= 4
    assert after["sealway_gateway_bytes_out_total"] > before["sealway_gateway_bytes_out_total"]
    node = 'sealway_node_answers_total{endpoint="confidential_completions",outcome="complete"}'
    assert after[node] - before[node] == 4
    for gauge in ("sealway_gateway_inflight", "sealway_gateway_streams_open", "sealway_broker_inflight",
                  "sealway_broker_queued", "sealway_worker_tasks", "sealway_worker_settlements_open"):
        wait_for(gauge + " to be 0", lambda: read()[gauge] == 0)  # settled is counted before it is on disk


def test_metrics_parser_refuses():
    good = "# HELP a_total x\n# TYPE a_total counter\na_total 1\n"
    assert parse_metrics(good) == {"a_total": 1}
    for bad in (good + "a_total 1\n", good + "b 1\n", good[:-1], good.replace(" 1", " x"), "a_total 1\n",
                good.replace("counter", "thing")):
        with pytest.raises(AssertionError):
            parse_metrics(bad)


def test_any_order_of_starting():
    """Every process comes first once, every process comes last once; the broker often late."""
    for order in (("node", "gateway", "worker", "broker"), ("worker", "broker", "node", "gateway"),
                  ("gateway", "node", "broker", "worker"), ("gateway", "worker", "broker", "node")):
        with Parts() as p:
            for role in order:
                p.start(role)
                if role != "node":  # a node is ready when it is registered
                    log = lambda: "event" in p.started[-1].log()
                    wait_for(f"{role} to live", log)
            p.operate()
            wait_for(f"an answer after {order}", lambda: p.ask().stdout == "a b a\n", 20)


def test_ports_chosen_by_the_system():
    with Parts() as p:
        bus = p.start("broker", "--bus", "tcp://127.0.0.1:*").ready()["listen"]
        assert bus.startswith("tcp://127.0.0.1:") and int(bus.rsplit(":", 1)[1]) > 0
        p.start("worker", "--brokers", bus)
        listen = p.start("gateway", "--brokers", bus, "--listen", "127.0.0.1:0").ready()["listen"]
        p.gateway_port = int(listen.rsplit(":", 1)[1])
        p.start("node", "--gateway", p.url)
        p.operate()
        p.ready()
        assert complete(client_of(p)) == "a b a"


def test_each_from_a_file(tmp_path):
    """The same settings in files, as deploy/config has them, with the program's own example as their base."""
    with Parts() as p:
        for role in ROLES:
            words = p.command(role)
            example = subprocess.run([binary(role), "--example-config"], capture_output=True, text=True,
                                     env=plain_env(), check=True).stdout
            settings = dict(zip((w[2:].replace("-", "_") for w in words[::2]), words[1::2]))
            for name, value in settings.items():
                line = next(x for x in example.splitlines() if x.startswith(f"#{name} ="))
                example = example.replace(line + "\n", f"{name} = {value}\n", 1)
            with open(os.path.join(p.dir, role + ".ini"), "w") as f:
                f.write(example)
            p.words[role] = ["--config", role + ".ini"]
        node, p.command = p.command, lambda role, *flags: p.words[role] + list(flags)
        p.start_all()
        p.operate()
        p.ready()
        assert complete(client_of(p)) == "a b a"


# --- strangers ---

def strangers(p):
    """Keys made in the same way by somebody else, with the right broker.pub."""
    p.run("keys", "new", "--dir", "theirs")
    shutil.copy(os.path.join(p.dir, "keys", "broker.pub"), os.path.join(p.dir, "theirs", "broker.pub"))


def test_a_gateway_that_is_not_on_the_list(four):
    strangers_dir = os.path.join(four.dir, "theirs")
    if not os.path.exists(strangers_dir):
        strangers(four)
    g = four.start("gateway", "--curve-key", "theirs/gateway.key", "--listen", "127.0.0.1:0", name="stranger")
    before = four.broker.metrics()["sealway_broker_gateways"]
    info = g.ready()
    wait_for("a refused handshake", lambda: "zauth.denied" in four.broker.log())
    assert get(info["admin"], "/ready")[0] == 503
    status, headers, _ = get(info["listen"], "/health")
    assert status == 503 and int(headers["retry-after"]) > 0
    with pytest.raises(Refused) as r:
        Client(f"http://{info['listen']}", four.token).lock()
    assert r.value.status == 503 and r.value.error["code"] == "SERVICE_UNAVAILABLE"
    assert g.metrics()["sealway_gateway_broker_links"] == 0
    assert four.broker.metrics()["sealway_broker_gateways"] == before
    assert four.ask().stdout == "a b a\n"  # and the others notice nothing
    g.end()


def public_key(p, name):
    return open(os.path.join(p.dir, "keys", name + ".pub")).read().strip()


def test_the_key_of_a_worker_is_no_gateways(four):
    """It is on the list, so it may connect; but what it says as a gateway is not heard."""
    before = four.broker.metrics()
    g = four.start("gateway", "--curve-key", "keys/worker.key", "--listen", "127.0.0.1:0", name="impostor")
    info = g.ready()
    wait_for("its word to be dropped", lambda: four.broker.metrics()["sealway_broker_dropped_total"] >
             before["sealway_broker_dropped_total"])
    assert get(info["listen"], "/health")[0] == 503 and get(info["admin"], "/ready")[0] == 503
    with pytest.raises(Refused) as r:
        Client(f"http://{info['listen']}", four.token).lock()
    assert r.value.status == 503
    assert four.broker.metrics()["sealway_broker_gateways"] == before["sealway_broker_gateways"]
    said = [x for x in four.broker.log().splitlines() if "peer_refused" in x and "role=gateway" in x]
    assert len(said) == 1 and public_key(four, "worker") in said[0], said  # not one for each of its words
    g.end()


def test_the_key_of_a_gateway_is_no_workers(four):
    before = four.broker.metrics()
    w = four.start("worker", "--curve-key", "keys/gateway.key", name="wolf")
    info = w.ready()
    wait_for("its word to be dropped", lambda: four.broker.metrics()["sealway_broker_dropped_total"] >
             before["sealway_broker_dropped_total"])
    assert get(info["admin"], "/ready")[0] == 503
    for _ in range(5):
        assert four.ask().returncode == 0
    assert four.broker.metrics()["sealway_broker_workers"] == before["sealway_broker_workers"]
    assert w.metrics()["sealway_worker_first_byte_seconds_count"] == 0
    w.end()


def test_a_worker_that_is_not_on_the_list_gets_no_job():
    with Parts() as p:
        strangers(p)
        p.start("broker")
        p.start("gateway", "--dispatch-ms", "1500")
        p.start("worker", "--curve-key", "theirs/worker.key")
        p.start("node")
        p.operate()
        p.node.ready()
        wait_for("a refused handshake", lambda: "zauth.denied" in p.broker.log())
        c = client_of(p)
        with pytest.raises(Refused) as r:
            complete(c)
        assert r.value.status == 503 and int(r.value.headers["retry-after"]) > 0
        info = p.worker.ready()
        assert get(info["admin"], "/ready")[0] == 503
        m = p.worker.metrics()
        assert m["sealway_worker_brokers"] == m["sealway_worker_tasks"] == 0
        assert m["sealway_worker_first_byte_seconds_count"] == 0
        assert p.broker.metrics()["sealway_broker_dispatched_total"] == 0
        p.start("worker", name="friend")  # the right key, and the same request goes through
        wait_for("an answer", lambda: p.ask().stdout == "a b a\n")
        assert p.worker.metrics()["sealway_worker_first_byte_seconds_count"] == 0
        stacks = p.run("stack", "--json")
        assert '"reserved": 0' in stacks


def test_a_wrong_broker_key_is_no_broker(four):
    """A gateway that was given another broker's public key does not talk to ours."""
    if not os.path.exists(os.path.join(four.dir, "other")):
        four.run("keys", "new", "--dir", "other")
    g = four.start("gateway", "--broker-key", "other/broker.pub", "--listen", "127.0.0.1:0", name="lost")
    info = g.ready()
    later = four.start("gateway", "--listen", "127.0.0.1:0", name="found").ready()["listen"]
    wait_for("one that started later", lambda: get(later, "/health")[0] == 200)
    assert get(info["listen"], "/health")[0] == 503 and get(info["admin"], "/ready")[0] == 503
    four.found.end()
    wait_for("it to be said", lambda: "broker.no_answer" in g.log(), 8)
    g.end()
    (line,) = [x for x in g.log().splitlines() if "broker.no_answer" in x]  # once for all threads
    assert f"endpoint=tcp://127.0.0.1:{four.bus}" in line and "broker_key" in line and "level=warn" in line


def test_a_worker_whose_broker_does_not_answer_says_so(four):
    if not os.path.exists(os.path.join(four.dir, "other")):
        four.run("keys", "new", "--dir", "other")
    lost = four.start("worker", "--broker-key", "other/broker.pub", name="forlorn")
    nobody = four.start("worker", "--brokers", f"ipc://{four.dir}/nothing", name="nobody")
    for w, endpoint, word in ((lost, f"tcp://127.0.0.1:{four.bus}", "broker_key"), (nobody, f"ipc://{four.dir}/nothing", "bus")):
        wait_for("it to be said", lambda: "broker.no_answer" in w.log(), 8)
        w.end()
        (line,) = [x for x in w.log().splitlines() if "broker.no_answer" in x]
        assert f"endpoint={endpoint}" in line and word in line and "level=warn" in line


def test_a_key_taken_off_the_list_is_out_at_once():
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        peers = os.path.join(p.dir, "keys", "peers")
        text = open(peers).read()
        with open(peers, "w") as f:
            f.writelines(x + "\n" for x in text.splitlines() if not x.startswith("gateway"))
        p.broker.p.send_signal(signal.SIGHUP)
        wait_for("the gateway to be out", lambda: not p.healthy(), 10)
        with pytest.raises(Refused) as r:
            client_of(p).lock()
        assert r.value.status == 503
        with open(peers, "w") as f:
            f.write(text)
        p.broker.p.send_signal(signal.SIGHUP)
        wait_for("the gateway to be back", p.healthy, 10)
        wait_for("an answer", lambda: p.ask().stdout == "a b a\n", 10)


def test_a_node_is_told_why_it_is_not_taken():
    """Each reason once: nobody there, no broker, not admitted with what to do; then that it is registered; and a private address."""
    with Parts() as p:
        p.start("node")
        why = lambda: [x for x in p.node.log().splitlines() if "registration_failed" in x]
        wait_for("the first word", why)
        p.start("gateway")
        wait_for("503", lambda: "status=503" in p.node.log())
        p.start("broker")
        wait_for("404", lambda: "status=404" in p.node.log())
        time.sleep(0.5)
        said = why()
        assert "result=connect" in said[0] and "status=0" in said[0] and len(said) == len(set(x[30:] for x in said)), said
        assert "code=NOT_FOUND" in said[-1] and f"sealway node admit {public_key(p, 'node')} --id 1" in said[-1], said
        refused = [x for x in p.broker.log().splitlines() if "registration_refused" in x]
        assert refused and all(" node=1 " in x for x in refused), refused
        command = said[-1].split("sealway ")[1].split(";")[0].split()
        p.run(*command)
        wait_for("its registration", lambda: "event=registered" in p.node.log())
        p.node.end()
        p.start("node", "--public-address", "https://10.0.0.1:9000")
        wait_for("its address", lambda: "param=public_address" in why()[-1])
        assert "inside the broker's node_networks" in why()[-1]


def test_a_node_at_several_gateways():
    """It registers at each, and nothing of that sounds like a failure."""
    with Parts() as p:
        p.start("broker").ready()
        ports = [p.gateway_port, free_port(), free_port()]
        for port in ports:
            p.start("gateway", "--listen", f"127.0.0.1:{port}", name=f"gateway{port}").ready()
        p.operate()
        for _ in range(2):
            seen = len(p.node.log()) if hasattr(p, "node") else 0
            p.start("node", "--gateway", " ".join(f"http://127.0.0.1:{x}" for x in ports))
            wait_for("all of them", lambda: p.node.log()[seen:].count("event=registered") == 3)
            p.node.end()
        assert "registration_failed" not in p.node.log(), p.node.log()


def test_the_proxys_keys_are_changed_one_after_the_other():
    """As OPERATING.md has it: the node takes both, the workers change, the node takes the new one alone; and a worker
    that was forgotten says what is wrong with it."""
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        p.run("keys", "new", "--dir", "next")
        new = ["--request-key", "next/proxy-request.key", "--auth-key", "next/proxy-auth.key"]

        def node_takes(keys):
            p.node.end()
            p.start("node", "--proxy-auth-keys", keys).ready()
            wait_for("an answer", lambda: p.ask().returncode == 0, 10)

        node_takes("keys/proxy-auth.pub next/proxy-auth.pub")
        p.start("worker", *new, name="worker2").ready()
        wait_for("the second worker", lambda: json.loads(p.run("status", "--json"))["workers"] == 2)
        p.worker.end()
        assert p.ask().stdout == "a b a\n"
        node_takes("next/proxy-auth.pub")
        p.worker2.end()
        p.start("worker").ready()
        for _ in range(2):
            assert p.ask().returncode == 1
        (line,) = [x for x in p.worker.log().splitlines() if "node.knows_us_not" in x]
        assert "level=warn" in line and " node=1 " in line and "proxy_auth_keys" in line and "clocks" in line, line


def test_a_worker_that_reaches_no_node():
    """It fails what it is given at once, and so is always the least busy: it gets a request now and then to see whether
    that has changed, and all others are the good one's; the operator can see which one it is."""
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        p.start("worker", "--node-networks", "192.0.2.0/24", name="lost").ready()

        def workers():
            return [x for x in json.loads(p.run("peer", "list", "--json"))["peers"] if x["role"] == "worker"]

        def failures():
            return {x["name"].split(":")[-1]: x["failures"] for x in workers()}

        wait_for("both to hear the gateway", lambda: [x["hears"] > 0 for x in workers()] == [True, True])
        with ThreadPoolExecutor(3) as pool:
            assert [r.returncode for r in pool.map(lambda _: p.ask(), range(40))] == [0] * 40  # the client asks again
        assert failures()[str(p.worker.p.pid)] == 0 and 1 <= failures()[str(p.lost.p.pid)] <= 8
        p.worker.end()
        assert p.ask().returncode == 1
        assert failures()[str(p.lost.p.pid)] >= 4
        assert max(x["failures"] for x in json.loads(p.run("top", "--json"))["workers"]) >= 4
        (line,) = [x for x in p.broker.log().splitlines() if "event=worker_fails" in x]
        assert "level=warn" in line and " in_a_row=3 " in line and f":{p.lost.p.pid} " in line, line


def test_a_worker_that_the_node_does_not_know():
    """It takes the node from nobody: only the request that finds out fails, the others are the other worker's. When the
    node takes both keys, nothing of that is left."""
    with Parts() as p:
        p.start("broker", "--breaker-open-ms", "200")  # so often a node may begin a new life
        p.start_all(ROLES[1:])
        p.operate()
        p.ready()
        p.run("keys", "new", "--dir", "next")
        p.start("worker", "--request-key", "next/proxy-request.key", "--auth-key", "next/proxy-auth.key",
                name="stranger").ready()

        def peers():
            return [x for x in json.loads(p.run("peer", "list", "--json"))["peers"] if x["role"] == "worker"]

        def node():
            return json.loads(p.run("node", "show", "1", "--json"))

        def answered(worker):
            return worker.metrics()['sealway_worker_requests_total{outcome="complete"}']

        wait_for("both workers to hear the gateway", lambda: [x["hears"] > 0 for x in peers()] == [True, True])
        assert sum(p.ask().returncode for _ in range(12)) <= 1
        with ThreadPoolExecutor(6) as pool:
            assert [r.returncode for r in pool.map(lambda _: p.ask(), range(12))] == [0] * 12
        (line,) = [x for x in p.broker.log().splitlines() if "event=node_refuses_worker" in x]
        assert "level=warn" in line and " node=1 " in line and "proxy_auth_keys" in line, line
        (name,) = [x["name"] for x in peers() if x["refused_by"]]
        assert f" worker={name} " in line and name.endswith(f":{p.stranger.p.pid}")
        n = node()
        assert (n["state"], n["refuses"], n["health"]["failures"], n["health"]["workers_refused"]) == ("ready", [name], 0, 1)
        assert p.broker.metrics()["sealway_broker_workers_refused"] == 1 and answered(p.stranger) == 0
        top = json.loads(p.run("top", "--json"))
        assert [x["workers_refused"] for x in top["nodes"]] == [1]
        assert sorted(x["refused_by"] for x in top["workers"]) == [0, 1]

        p.node.end()
        p.start("node", "--proxy-auth-keys", "keys/proxy-auth.pub next/proxy-auth.pub").ready()
        wait_for("an answer", lambda: p.ask().returncode == 0, 10)
        assert [p.ask().returncode for _ in range(4)] == [0] * 4
        assert node()["refuses"] == [] and p.broker.metrics()["sealway_broker_workers_refused"] == 0
        assert answered(p.stranger) > 0


def test_asking_while_the_broker_is_away():
    """Without --model, too, it is the service's word that is told, after the tries that it asked for."""
    with Parts() as p:
        p.start("gateway").ready()
        r = p.sealway("complete", "x", env={"SEALWAY_URL": p.url, "SEALWAY_TOKEN": "sk-sealway-" + "A" * 43})
        assert (r.returncode, r.stdout) == (1, "") and r.stderr.count("trying again in 1 s") == 2, r.stderr
        assert "the service refused: 503 SERVICE_UNAVAILABLE: " in r.stderr and "lists no model" not in r.stderr


# --- starts that are refused ---

@pytest.fixture(scope="module")
def keys():
    with Parts() as p:
        yield p


def start_badly(p, role, *flags, **change):
    """(exit code, what it said) of a process that must not start."""
    words = p.command(role, *flags)
    for name, value in change.items():
        at = words.index("--" + name.replace("_", "-"))
        words[at:at + 2] = [] if value is None else [words[at], value]
    r = subprocess.run([binary(role), *words], cwd=p.dir, capture_output=True, text=True, timeout=20 * SLOW,
                       stdin=subprocess.DEVNULL, env=plain_env())
    assert "Sanitizer" not in r.stderr and "runtime error" not in r.stderr, r.stderr
    assert r.stdout == ""
    return r.returncode, r.stderr


@pytest.mark.parametrize("role", ["broker", "worker", "gateway"])
def test_tcp_without_curve_is_refused(keys, role):
    gone = {"curve_key": None, **({"peers": None} if role == "broker" else {"broker_key": None})}
    code, said = start_badly(keys, role, **gone)
    assert code in (1, 2) and "CURVE" in said and "tcp://127.0.0.1:" in said, said


@pytest.mark.parametrize("role", ["broker", "gateway", "worker"])
def test_closed_standard_descriptors(role):
    """Nothing that is opened later gets their numbers, so that the log goes into no file or socket."""
    with Parts() as p:
        run = p.prefix
        p.prefix = lambda r: [*run(r), "/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-']
        pid = p.start(role).ready()["pid"]
        assert [os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)] == ["/dev/null"] * 3


@pytest.mark.parametrize("role", ROLES)
def test_a_user_that_does_not_exist(keys, role):
    code, said = start_badly(keys, role, "--user", "nosuch")
    assert code == 1 and "nosuch" in said, (code, said)


@pytest.mark.parametrize("role, name", [("broker", "curve_key"), ("worker", "curve_key"), ("worker", "request_key"),
                                        ("worker", "auth_key"), ("gateway", "curve_key"), ("node", "sign_key")])
def test_secret_key_files(keys, role, name):
    code, said = start_badly(keys, role, **{name: "keys/none.key"})
    assert code in (1, 2) and "keys/none.key" in said and "No such file" in said, said
    path = os.path.join(keys.dir, "keys", "open.key")
    shutil.copy(os.path.join(keys.dir, "keys", "node.key"), path)
    for mode in (0o644, 0o640, 0o604):
        os.chmod(path, mode)
        code, said = start_badly(keys, role, **{name: "keys/open.key"})
        assert code in (1, 2) and "keys/open.key" in said and "chmod 600" in said, said
        assert open(path).read().strip() not in said
    os.chmod(path, 0o600)
    with open(path, "w") as f:
        f.write("c2VjcmV0IHNlY3JldCBzZWNyZXQ=\n")
    code, said = start_badly(keys, role, **{name: "keys/open.key"})
    assert code in (1, 2) and "base64 of 32 bytes" in said and "c2VjcmV0" not in said, said
    os.unlink(path)


@pytest.mark.parametrize("role, name", [("broker", "peers"), ("worker", "broker_key"), ("gateway", "broker_key"),
                                        ("node", "proxy_auth_keys")])
def test_public_files_that_are_missing(keys, role, name):
    code, said = start_badly(keys, role, **{name: "keys/none.pub"})
    assert code in (1, 2) and "keys/none.pub" in said, said


@pytest.mark.parametrize("role, name, secret", [("worker", "broker_key", "broker"), ("gateway", "broker_key", "broker"),
                                                ("node", "proxy_auth_keys", "proxy-auth")])
def test_a_secret_key_in_the_place_of_the_public_one(keys, role, name, secret):
    code, said = start_badly(keys, role, **{name: f"keys/{secret}.key"})
    assert code == 1 and f"keys/{secret}.key" in said and "give the .pub beside it" in said, said
    assert open(os.path.join(keys.dir, "keys", secret + ".key")).read().strip() not in said


def test_a_nodes_secret_key_is_not_admitted(four):
    four.run("keys", "node", "--name", "n2", "--dir", "keys")
    r = four.sealway("node", "admit", "keys/n2.key")
    assert r.returncode == 1 and "keys/n2.key is a secret key; give the .pub beside it" in r.stderr, r.stderr
    assert [n["node"] for n in json.loads(four.run("node", "list", "--json"))["nodes"]] == [1]


@pytest.mark.parametrize("name", ["proxy-request", "proxy-auth", "copy"])
def test_a_worker_needs_two_signing_keys(keys, name):
    """The request key signs bodies that clients choose, and so must not be the one that nodes obey."""
    shutil.copy(os.path.join(keys.dir, "keys", "proxy-auth.key"), os.path.join(keys.dir, "keys", "copy.key"))
    second = "keys/proxy-auth.key" if name == "copy" else f"keys/{name}.key"
    code, said = start_badly(keys, "worker", request_key=f"keys/{name}.key", auth_key=second)
    assert code == 1 and "auth_key" in said and "same key as request_key" in said, said


@pytest.mark.parametrize("role", ROLES)
def test_wrong_settings(keys, role, tmp_path):
    number = {"broker": "queue-max", "worker": "capacity", "gateway": "max-inflight", "node": "max-conns"}[role]
    setting = number.replace("-", "_")
    for flags, words in ((["--no-such-thing", "1"], ["--no-such-thing", "unknown"]),
                         ([f"--{number}", "many"], [setting, "many", "not a number from 1 to"]),
                         ([f"--{number}", "0"], [setting, "not a number from 1 to"]),
                         ([f"--{number}", "-1"], [setting]),
                         ([f"--{number}"], [number, "needs a value"]),
                         (["--log-json", "--log-json=perhaps"], ["log_json", "not true or false"]),
                         (["--log-level", "loud"], ["log_level"]),
                         (["word"], ["word", "unexpected argument"]),
                         (["--config", "none.ini"], ["none.ini", "No such file"]),
                         (["--config"], ["--config", "name of a file"]), (["--config", ""], ["--config", "name of a file"]),
                         (["--config="], ["--config", "name of a file"]),
                         (["--config", str(tmp_path)], [str(tmp_path), "Is a directory"])):
        code, said = start_badly(keys, role, *flags)
        assert code == 2 and all(w in said for w in words), (flags, code, said)
    ini = tmp_path / "x.ini"
    for text, words in (("nosuch = 1\n", [f"{ini}:1", "nosuch"]), (f"\n{setting} = x\n", [f"{ini}:2", "not a number"]),
                        (f"{setting} = 1\n{setting} = 2\n", ["twice", f"{ini}:1"]),
                        ("config = other.ini\n", [f"{ini}:1", "cannot name another"]), ("rubbish\n", [f"{ini}:1"]),
                        (f"{setting} = {'1' * 300}\n", [f"{ini}:1", "over 199 bytes"])):
        ini.write_text(text)
        code, said = start_badly(keys, role, "--config", str(ini))
        assert code == 2 and all(w in said for w in words), (text, code, said)
    r = subprocess.run([binary(role), "--check-config"], capture_output=True, text=True,
                       env=plain_env(**{"SEALWAY_" + setting.upper(): "x"}))
    assert r.returncode == 2 and "SEALWAY_" + setting.upper() in r.stderr


@pytest.mark.parametrize("role", ROLES)
def test_help_check_and_example(keys, role, tmp_path):
    def run(*flags):
        return subprocess.run([binary(role), *flags], cwd=keys.dir, capture_output=True, text=True, env=plain_env(),
                              timeout=20 * SLOW)

    r = run("--help")
    assert (r.returncode, r.stderr) == (0, "") and f"Usage: sealway-{role}" in r.stdout
    names = [x.split()[0][2:].replace("-", "_") for x in r.stdout.split("win):")[1].splitlines() if x.startswith("  --")]
    assert {"log_level", "admin_listen", "ready_file", "drain_s"} <= set(names)
    example = run("--example-config")
    assert (example.returncode, example.stderr) == (0, "")
    listed = [x[1:].split(" =")[0] for x in example.stdout.splitlines() if x.startswith("#") and not x.startswith("# ")]
    assert listed == names
    for what in ("--help", "--version", "--man", "--example-config"):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([binary(role), what], stdout=full, stderr=subprocess.PIPE, text=True, env=plain_env())
        assert r.returncode == 2 and "cannot be written" in r.stderr, (what, r)
    assert run("--version").stdout.startswith(f"sealway-{role} ")
    r = run(*keys.command(role), "--check-config")
    assert r.returncode == 0 and "level=error" not in r.stderr and "is good" in r.stdout, r.stderr
    ini = tmp_path / "all.ini"  # the example with every default taken at its word
    ini.write_text("".join(x[1:] + "\n" for x in example.stdout.splitlines()
                           if x.startswith("#") and not x.startswith("# ") and not x.startswith("#config =")))
    r = run("--config", str(ini), *keys.command(role), "--check-config")
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("role, flags, word", [
    ("gateway", ["--tls-cert", "x.pem"], "tls_key"), ("gateway", ["--log-level", "loud"], "log_level"),
    ("gateway", ["--body-budget", "2M"], "body_budget"), ("broker", ["--node-networks", "everything"], "node_networks"),
    ("broker", ["--admin", "tcp://127.0.0.1:1"], "admin"), ("worker", ["--log-level", "loud"], "log_level"),
    ("node", ["--validity-s", "10"], "validity_s"), ("node", ["--log-level", "loud"], "log_level"),
    ("node", ["--models", "name=a;name=a"], "same name twice"), ("node", ["--sign-key", "none.key"], "none.key"),
    ("node", ["--proxy-auth-keys", "none.pub"], "none.pub"), ("node", ["--engine", "http://a:b/"], "engine"),
    ("node", ["--engine", "http://x", "--engine-key-file", "none"], "engine_key_file"),
    ("node", ["--listen", "localhost:1"], "localhost:1"), ("node", ["--admin-listen", "x"], "listen_address"),
    ("node", ["--gateway", "http://"], "gateway"), ("node", ["--evidence-file", "none"], "evidence_file"),
    ("node", ["--user", "nosuch"], "nosuch"), ("worker", ["--request-key", ""], "request_key"),
    ("worker", ["--auth-key", "keys/proxy-request.key"], "same key"), ("worker", ["--curve-key", "none"], "none"),
    ("worker", ["--broker-key", "none"], "none"), ("worker", ["--node-networks", "all"], "node_networks"),
    ("worker", ["--publish", "tcp://*"], "publish"), ("worker", ["--publish", "udp://x:1"], "publish"),
    ("worker", ["--curve-key", ""], "tcp needs"), ("worker", ["--brokers", ""], "brokers"),
    ("worker", ["--brokers", "tcp://x"], "brokers"), ("worker", ["--admin-listen", "x"], "listen_address"),
    ("worker", ["--user", "nosuch"], "nosuch"), ("broker", ["--curve-key", "none"], "none"),
    ("broker", ["--peers", "none"], "none"), ("broker", ["--curve-key", ""], "CURVE"), ("broker", ["--bus", "udp://x:1"], "udp://x:1"),
    ("broker", ["--admin", "ipc://" + "x" * 108], "x" * 108), ("broker", ["--admin-listen", "x"], "listen_address"),
    ("broker", ["--user", "nosuch"], "nosuch"), ("gateway", ["--curve-key", "none"], "none"),
    ("gateway", ["--broker-key", "none"], "none"), ("gateway", ["--curve-key", "", "--broker-key", ""], "CURVE"),
    ("gateway", ["--brokers", "tcp://x"], "tcp://x"), ("gateway", ["--listen", "localhost:1"], "localhost:1"),
    ("gateway", ["--admin-listen", "x"], "listen_address"), ("gateway", ["--user", "nosuch"], "nosuch"),
    ("gateway", ["--tls-cert", "none.pem", "--tls-key", "none.pem"], "none.pem"), *((r, ["--drain-s", "0"], "drain_s") for r in ROLES),
])
def test_check_config_finds_what_a_start_would_refuse(keys, role, flags, word):
    """Settings that are each in order but do not go together, or name what is not there."""
    code, said = start_badly(keys, role, *flags)
    assert code in (1, 2) and word in said, said
    code, said = start_badly(keys, role, *flags, "--check-config")
    assert code == 2 and word in said, said


@pytest.mark.parametrize("role, setting, value", [("broker", "database", "keys"), ("worker", "publish", "ipc:///nonexistent/x"),
                                                  ("gateway", "listen", None), ("node", "listen", None)])
def test_a_ready_file_of_an_earlier_life(keys, role, setting, value, tmp_path):
    """It would tell whoever waits for it that a process is ready that has not got so far, or never will."""
    stale = tmp_path / "ready"
    stale.write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = start_badly(keys, role, "--ready-file", str(stale),
                                 **{setting: value or f"127.0.0.1:{taken.getsockname()[1]}"})
    assert code == 1 and not stale.exists(), said


@pytest.mark.parametrize("role, setting, most", [("gateway", "max_conns", 75), ("worker", "capacity", 150), ("node", "max_conns", 75)])
def test_no_more_connections_than_descriptors(keys, role, setting, most):
    """What cannot be opened is not promised: a worker would blame its nodes for requests that it has no socket for."""
    flags = {"gateway": ["--threads", "2"], "worker": [], "node": ["--engine", "http://127.0.0.1:9"]}[role]
    r = subprocess.run(["prlimit", "--nofile=200:200", binary(role), *keys.command(role, *flags), "--check-config", "--log-json"],
                       cwd=keys.dir, capture_output=True, text=True, env=plain_env(), timeout=30 * SLOW)
    assert r.returncode == 0, r.stderr
    (line,) = [x for x in map(json.loads, r.stderr.splitlines()) if x["event"] == "conf.open_files"]  # in the form that the settings ask for
    assert line["program"] == f"sealway-{role}" and "LimitNOFILE" in line["do"], line
    assert (line["setting"], line["lowered_to"], line["open_files"]) == (setting, most, 200), line


def test_two_brokers_on_one_ledger(four):
    """The second neither takes the ledger nor harms the first."""
    code, said = start_badly(four, "broker", "--bus", "tcp://127.0.0.1:*", "--admin", f"ipc://{four.dir}/second.sock")
    assert code == 1 and "ledger.sqlite" in said, said
    assert four.ask().stdout == "a b a\n"


def test_a_bus_port_that_is_taken(four):
    code, said = start_badly(four, "broker", "--database", "second.sqlite", "--admin", f"ipc://{four.dir}/second.sock")
    assert code == 1 and f"tcp://127.0.0.1:{four.bus}" in said, said
    assert four.ask().stdout == "a b a\n"


# --- a broker that goes and comes ---

def test_the_broker_goes_and_comes():
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        assert p.ask().stdout == "a b a\n"
        c = client_of(p)
        lock = c.lock(timeout=60)
        others = [getattr(p, r).p.pid for r in ROLES[1:]]
        for way in (signal.SIGTERM, signal.SIGKILL):
            p.broker.end(way, 0 if way == signal.SIGTERM else -way)
            wait_for("/health to say so", lambda: not p.healthy(), 5)
            e = c.seal({"model": c.model, "prompt": "a b", "max_tokens": 3}, lock=lock)
            status, headers, body = c.request("POST", "/v1/confidential/completions", e.body)
            assert status == 503 and int(headers["retry-after"]) >= 1, body
            status, headers, _ = c.request("POST", "/v1/nodes/lock", {"model": "demo"})
            assert status == 503 and int(headers["retry-after"]) >= 1
            assert c.request("GET", "/v1/models")[0] == 503
            assert get(p.worker.ready()["admin"], "/health")[0] == 200
            wait_for("the worker to say so", lambda: get(p.worker.ready()["admin"], "/ready")[0] == 503, 5)
            p.start("broker")
            p.broker.ready()
            began = time.time()

            def works():
                try:
                    return complete(c) == "a b a"
                except Refused as x:
                    assert x.status in (503, 425), x
                    return False
            wait_for("answers again", works, 5)
            assert time.time() - began < 5 * SLOW
            assert [getattr(p, r).p.poll() for r in ROLES[1:]] == [None] * 3
        assert others == [getattr(p, r).p.pid for r in ROLES[1:]]
        assert "ledger ok=true" in p.run("status")


def test_a_broker_that_is_back_at_once():
    """With the heartbeats that are the default: nobody has missed it, and it knows nobody; service within two seconds."""
    with Parts() as p:
        p.start_all()
        p.operate()
        p.ready()
        c = client_of(p)
        assert complete(c) == "a b a"
        p.broker.kill()
        p.start("broker").ready()
        began = time.monotonic()

        def serves():
            try:
                return complete(c) == "a b a"
            except Refused as e:
                assert e.status in (503, 425), e
                return False
        wait_for("every thread of the gateway to serve", lambda: all(serves() for _ in range(6)), 10)
        assert time.monotonic() - began < 2 * SLOW


def test_a_gateway_that_starts_lets_nobody_in_before_it_can_serve():
    """So that a client that tries again where it was hung up on is not refused; without a broker it says so soon."""
    with Parts() as p:
        p.start("gateway").ready()
        assert not p.healthy()
        p.gateway.end()
        p.start("broker").ready()
        for _ in range(3):
            p.start("gateway", "--threads", "3")
            wait_for("a connection", lambda: answers(p))
            assert p.healthy()
            p.gateway.end()


def answers(p):
    """Whether somebody is there, who has to be of use at once."""
    try:
        status = get(f"127.0.0.1:{p.gateway_port}", "/health")[0]
    except OSError:
        return False
    assert status == 200
    return True


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_streams_survive_a_broker_restart(way):
    with Parts("echo:rate=20") as p:
        p.start_all()
        p.operate()
        p.ready()
        c = client_of(p)
        began, done, bad = [], [], []

        def one(i):
            try:
                e = c.seal({"model": c.model, "prompt": "a b c", "max_tokens": 60, "stream": True}, stream=True)
                text = text_of(c.post_stream("completions", e, lambda *_: began.append(i)))
                assert text.split() == ["a", "b", "c"] * 20
                assert (e.prompt, e.completion, e.outcome) == (3, 60, 0)
                done.append(i)
            except Exception as x:  # noqa: BLE001 - shown below
                bad.append(repr(x))

        threads = [threading.Thread(target=one, args=(i,)) for i in range(5)]
        for t in threads:
            t.start()
        wait_for("all streams to run", lambda: len(set(began)) == 5 or bad)
        p.broker.p.send_signal(way)
        if way == signal.SIGTERM:  # drains: refuses what is new while it waits for what runs
            wait_for("the drain", lambda: "event=draining" in p.broker.log())
            with pytest.raises(Refused) as r:
                c.lock()
            assert r.value.status == 503
        else:
            p.broker.p.wait()
            assert not done and not bad
            p.start("broker")
        for t in threads:
            t.join()
        assert not bad and len(done) == 5, bad
        if way == signal.SIGTERM:
            p.broker.p.wait(30 * SLOW)  # by the first signal: a second one would cut what is still being settled
            p.broker.end()
            p.start("broker")
        p.broker.ready()

        def billed():
            rows = p.run("usage").splitlines()[1:]
            return sum(int(x.split()[-1]) for x in rows)
        wait_for("the bill", lambda: billed() == 5 * 63, 20)
        assert "ledger ok=true" in p.run("status")
        assert '"reserved": 0' in p.run("stack", "--json")
