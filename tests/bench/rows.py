# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark: which load on which systems, and what is read off the processes meanwhile."""
import json
import os
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time

import systems

PROXIES = ["direct", "nginx", "haproxy", "portkey", "sealway-ipc", "sealway-tcp"]
NO_PORTKEY = [p for p in PROXIES if p != "portkey"]
OURS = ["sealway-ipc", "sealway-tcp"]

# name -> (what, systems, flags of the load generator, what counts, on HTTP/2)
LOADS = {
    "a1": ("2 KB to 200 B, c=1", PROXIES, ["--lanes", "1"], "rps", False),
    "a16": ("2 KB to 200 B, c=16", PROXIES, ["--lanes", "16"], "rps", False),
    "a64": ("2 KB to 200 B, c=64", PROXIES, ["--lanes", "64"], "rps", False),
    "a256": ("2 KB to 200 B, c=256", PROXIES, ["--lanes", "256"], "rps", False),
    "a1000": ("2 KB to 200 B, open loop, 1,000/s", NO_PORTKEY, ["--lanes", "256", "--rate", "1000"], "total", False),
    "h64": ("2 KB to 200 B, HTTP/2, 64 streams on 2 connections", ["nginx", "haproxy"] + OURS,
            ["--lanes", "64", "--per-conn", "32"], "rps", True),
    "b": ("SSE flat out, c=16, 200 events", NO_PORTKEY, ["--lanes", "16", "--chunks", "200", "--bodies", "16"], "events_per_s", False),
    "bl": ("SSE flat out, c=16, 2,000 events", NO_PORTKEY, ["--lanes", "16", "--chunks", "2000", "--bodies", "2"],
           "events_per_s", False),
    "bs": ("SSE flat out, c=16, 500 events, the node writes each by itself", NO_PORTKEY,
           ["--lanes", "16", "--chunks", "500", "--bodies", "16", "--singly"], "events_per_s", False),
    "hb": ("SSE flat out on HTTP/2, 16 streams on 2 connections, 200 events", ["nginx", "haproxy"] + OURS,
           ["--lanes", "16", "--per-conn", "8", "--chunks", "200", "--bodies", "16"], "events_per_s", True),
    "c1": ("SSE paced 50/s, 1 stream", NO_PORTKEY, ["--lanes", "1", "--gap-us", "20000"], "chunk", False),
    "c50": ("SSE paced 50/s, 50 streams", NO_PORTKEY, ["--lanes", "50", "--gap-us", "20000"], "chunk", False),
    "c500": ("SSE paced 50/s, 500 streams", NO_PORTKEY, ["--lanes", "500", "--gap-us", "20000"], "chunk", False),
    "hc500": ("SSE paced 50/s on HTTP/2, 500 streams on 10 connections", ["nginx", "haproxy"] + OURS,
              ["--lanes", "500", "--per-conn", "50", "--gap-us", "20000"], "chunk", True),
    "c5000": ("SSE paced 5/s, 5,000 streams", NO_PORTKEY, ["--lanes", "5000", "--gap-us", "200000"], "chunk", False),
    "d1": ("1 MB prompt, c=4", NO_PORTKEY, ["--lanes", "4", "--size", "1048576", "--bodies", "8"], "rps", False),
    "d8": ("8 MB prompt, c=2", NO_PORTKEY, ["--lanes", "2", "--size", "8388608", "--bodies", "4"], "rps", False),
    "ta": ("TLS 1.3 to the client: 2 KB to 200 B, c=64", ["nginx-tls", "sealway-ipc", "sealway-tls"], ["--lanes", "64"], "rps", "tls"),
    "tb": ("TLS 1.3 to the client: SSE flat out, c=16, 200 events", ["nginx-tls", "sealway-ipc", "sealway-tls"],
           ["--lanes", "16", "--chunks", "200", "--bodies", "16"], "events_per_s", "tls"),
    "e2": ("a lock, then the request that uses it, c=16", OURS, ["--lanes", "16", "--pairs"], "rps", False),
    "e": ("lock, c=16", OURS, ["--lanes", "16", "--locks"], "rps", False),
    "fa": ("signature of every object checked: 2 KB to 200 B, c=64", ["sealway-ipc", "sealway-verify"],
           ["--lanes", "64"], "rps", False),
    "fb": ("signature of every chunk checked: SSE flat out", ["sealway-ipc", "sealway-verify"],
           ["--lanes", "16", "--chunks", "200", "--bodies", "16"], "events_per_s", False),
}
SPECIAL = ["syscalls", "growth", "startup", "open"]
NAMES = list(LOADS) + SPECIAL
SCALE = {  # rounds, seconds, warm-up, seconds of paced rows
    "smoke": dict(rounds=1, seconds=0.2, warmup=0.1, paced=0.6),
    "quick": dict(rounds=2, seconds=0.6, warmup=0.3, paced=1.6),
    "full": dict(rounds=4, seconds=1.0, warmup=0.4, paced=3),
}
QUICK = ["a1", "a64", "a1000", "h64", "b", "c50", "c500", "d1", "e", "e2", "fa", "fb", "ta", "tb", "syscalls", "growth", "startup"]
SMOKE = ["a16", "h64", "b", "c50", "e", "e2", "ta", "startup"]


class Plan:
    def __init__(self, scale, names=None):
        self.scale = scale
        self.__dict__.update(SCALE[scale])
        self.names = names.split(",") if names else {"smoke": SMOKE, "quick": QUICK, "full": NAMES}[scale]
        unknown = [n for n in self.names if n not in NAMES]
        if unknown:
            raise SystemExit(f"no such row: {' '.join(unknown)} (there are: {' '.join(NAMES)})")


def load(lab, words, timeout=150):
    """Runs the load generator; {"failed": why} instead of a result when it cannot."""
    try:
        r = subprocess.run([lab.tool("bench-load"), *words], capture_output=True, text=True, timeout=timeout)
        out = json.loads(r.stdout) if r.stdout else {"failed": r.stderr[-300:] or f"status {r.returncode}"}
    except (subprocess.TimeoutExpired, ValueError) as e:
        out = {"failed": str(e)[-300:]}
    if not out.get("failed") and not out.get("answers"):
        out["failed"] = f"nothing was answered: {out.get('wrongs')}"
    return out


def flags_of(row, plan):
    flags = list(LOADS[row][2])
    if "--gap-us" in flags:
        gap = int(flags[flags.index("--gap-us") + 1]) / 1e6
        lanes = int(flags[flags.index("--lanes") + 1])
        ramp = max(0.2, min(5, lanes / 250))  # streams do not all start in the same moment; chunks count once all have
        flags += ["--once", "--chunks", str(max(4, int((plan.paced + ramp + 0.3) / gap))), "--warmup",
                  str(ramp + 0.2), "--seconds", str(plan.paced), "--ramp", str(ramp), "--drain", "20"]
        if lanes > 1000:
            flags += ["--sources", "4"]
        return flags
    warmup = plan.warmup + (0.4 if "--chunks" in flags or "--size" in flags else 0)  # the node makes its answers then
    return flags + ["--seconds", str(plan.seconds), "--warmup", str(warmup)]


def once(lab, system, row, plan):
    """One round: the load's result, and each process's CPU time per answer and per event."""
    flags = flags_of(row, plan)
    if row == "e":
        flags += ["--to", f"127.0.0.1:{system.port}", "--path", "/v1/nodes/lock", "--token", system.token]
    else:
        flags += system.flags(http2=LOADS[row][4] if LOADS[row][4] != "tls" or system.ca else False)
    parts = dict(system.parts, node=lab.node_pid)
    before = {role: systems.cpu_ns(pid) for role, pid in parts.items()}
    out = load(lab, flags)
    if out.get("failed"):
        return out
    answers, events = max(1, out["answers"]), out["all_events"]
    used = {role: (systems.cpu_ns(pid) - before[role]) / 1e3 for role, pid in parts.items()}
    node = used.pop("node") if "node" not in system.parts else used["node"]
    out["node_cpu_us"] = {"request": round(node / answers, 2), "chunk": round(node / events, 3) if events else 0}
    out["cpu_us_per_request"] = {role: round(v / answers, 2) for role, v in used.items()}
    out["cpu_us_per_chunk"] = {role: round(v / events, 3) for role, v in used.items()} if events else {}
    out["rss_kb"] = {role: systems.rss_kb(pid) for role, pid in system.parts.items()}
    return out


def value_of(out, counts):
    return out[counts] if counts in ("rps", "events_per_s") else out.get(counts, {}).get("p50", 0)


def middle(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def merged(rounds, name):
    """One histogram of all rounds."""
    count = {}
    for r in rounds:
        for top, n in r.get(name, {}).get("buckets", []):
            count[top] = count.get(top, 0) + n
    return sorted(count.items())


def summary(rounds, counts):
    good = [r for r in rounds if not r.get("failed")]
    if not good:
        return {"failed": rounds[0]["failed"]}
    out = {"value": middle([value_of(r, counts) for r in good]), "wrong": sum(r["wrong"] for r in good),
           "wrongs": [r["wrongs"] for r in good if r["wrong"]], "verified": sum(r["verified"] for r in good),
           "rounds": len(good)}
    for h in ("total", "first", "gap", "chunk"):
        if good[0].get(h):
            out[h] = {p: round(statistics.median(r[h][p] for r in good), 1) for p in ("p50", "p90", "p99", "p999")}
            out[h]["buckets"] = merged(good, h)
    for k in ("cpu_us_per_request", "cpu_us_per_chunk", "rss_kb", "node_cpu_us"):
        out[k] = {role: round(statistics.median(r[k][role] for r in good), 2) for role in good[0][k]}
    out["load_cpu_s"] = round(statistics.median(r["cpu_s"] for r in good), 2)
    return out


def failed(them):
    """Whether what was measured of one of them is worth nothing: it did not answer, or an answer was wrong."""
    return any(s.get("failed") or s.get("wrong") for s in them.values())


def compare(lab, all_systems, row, plan, say):
    """All systems in turn, several rounds, so that a bad moment of the machine meets all of them."""
    what, names, _, counts, _ = LOADS[row]
    rounds = {n: [] for n in names if n in all_systems and (n != "portkey" or row.startswith("a"))}
    for _ in range(1 if row == "c5000" else min(3, plan.rounds) if counts == "chunk" else plan.rounds):
        for n in rounds:
            rounds[n].append(once(lab, all_systems[n], row, plan))
    out = {"row": row, "what": what, "counts": counts, "systems": {n: summary(r, counts) for n, r in rounds.items()}}
    out["failed"] = failed(out["systems"])
    say(f"{row}: " + ", ".join(f"{n} {s.get('failed') or round(s['value']['median'], 1)}"
                               + (f" ({s['wrong']} wrong)" if s.get("wrong") else "") for n, s in out["systems"].items()))
    void(out, lab.node_processes)
    return out


def void(row, processes):
    """The node's own ceiling (all its processes, from their CPU time in the same round) has to be three times what the
    proxy reached, else the row says nothing about the proxy."""
    if row["counts"] not in ("rps", "events_per_s"):
        return
    for name, s in row["systems"].items():
        each = (s.get("node_cpu_us") or {}).get("request" if row["counts"] == "rps" else "chunk")
        if name != "direct" and each:
            s["node_ceiling"] = round(processes * 1e6 / each / s["value"]["median"], 1)


# --- rows that are no comparison ---

def count_syscalls(pids, seconds):
    with tempfile.NamedTemporaryFile("r") as f:
        subprocess.run(["timeout", "-s", "INT", str(seconds), "strace", "-f", "-c", "-o", f.name,
                        *(w for p in pids for w in ("-p", str(p)))],
                       capture_output=True)
        m = re.search(r"^100\.00\s+[\d.]+\s+\d+\s+(\d+)", f.read(), re.M)
        return int(m[1]) if m else None


def instructions(pids, seconds):
    r = subprocess.run(["perf", "stat", "-x", ",", "-e", "instructions:u", "-p", ",".join(map(str, pids)), "--", "sleep",
                        str(seconds)], capture_output=True, text=True)
    m = re.search(r"^(\d+),,instructions", r.stderr, re.M)
    return int(m[1]) if m else None


def watched(lab, system, fixed, watch, seconds):
    """Runs watch(seconds) within an open-loop load; gives its result per request."""
    words = [lab.tool("bench-load"), *system.flags(), *fixed, "--seconds", str(seconds + 1.5)]
    rate = float(fixed[fixed.index("--rate") + 1])
    p = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    time.sleep(0.7)
    n = watch(seconds)
    out, _ = p.communicate(timeout=60)
    good = json.loads(out)["wrong"] == 0
    return round(n / (rate * seconds), 1) if n and good else None


def syscalls(lab, all_systems, plan, say):
    """At a rate that tracing does not disturb; each process by itself."""
    load_flags = ["--lanes", "64", "--rate", "300"]
    out = {"row": "syscalls", "what": "system calls and user instructions per request, open loop, 300/s", "systems": {}}
    seconds = 1.5 if plan.scale == "full" else 1
    for name in ("nginx", "haproxy", *OURS):
        s = all_systems.get(name)
        if not s:
            continue
        each = {}
        for role, pid in s.parts.items():
            pids = systems.tree(pid)
            calls = watched(lab, s, load_flags, lambda t, ps=pids: count_syscalls(ps, t), seconds)
            each[role] = {"syscalls": calls,
                          "instructions": watched(lab, s, load_flags, lambda t, ps=pids: instructions(ps, t), seconds)}
        out["systems"][name] = {"each": each}
    say("syscalls: " + json.dumps(out["systems"]))
    return out


def measure(lab, all_systems, plan, say):
    """All rows that share the running systems."""
    out = [compare(lab, all_systems, r, plan, say) for r in plan.names if r in LOADS]
    if "syscalls" in plan.names:
        out.append(guarded("syscalls", lambda: syscalls(lab, all_systems, plan, say), say))
    return out


def first_served(build, ready_only=False):
    """Milliseconds from the start of `sealway up` to its first answer, on a new directory."""
    sealway = os.path.join(build, "client", "sealway")
    with tempfile.TemporaryDirectory(prefix="swb") as d:
        ready = os.path.join(d, "ready")
        env = systems.clean_env(HOME=d)
        began = time.monotonic()
        p = subprocess.Popen([sealway, "up", "--dir", os.path.join(d, "d"), "--listen", "127.0.0.1:0", "--ready-file", ready],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        try:
            while not os.path.exists(ready):
                if p.poll() is not None or time.monotonic() - began > 30:
                    raise RuntimeError("sealway up did not start")
                time.sleep(0.002)
            came_up = time.monotonic() - began
            info = json.load(open(ready))
            r = subprocess.run([sealway, "complete", "--max-tokens", "3", "a b"], capture_output=True, timeout=20,
                               env=dict(env, SEALWAY_URL=info["url"], SEALWAY_TOKEN=info["token"]))
            took = time.monotonic() - began
        finally:
            p.terminate()
            p.wait(40)
        if r.returncode:
            raise RuntimeError(r.stderr.decode())
        return came_up * 1e3, took * 1e3


def startup(build, plan, say):
    times = [first_served(build) for _ in range(1 if plan.scale == "smoke" else 2 * plan.rounds)]
    out = {"row": "startup", "what": "`sealway up` on a new directory to its first answered request",
           "ready_ms": middle([t[0] for t in times]), "first_ms": middle([t[1] for t in times])}
    say(f"startup: ready {out['ready_ms']['median']:.0f} ms, first answer {out['first_ms']['median']:.0f} ms")
    return out


GROWN = {"full": (100000, 10000), "quick": (100000, 10000), "smoke": (300, 30)}  # users, each with a token and a stack; nodes


def grow_users(db, n):
    model, stack = db.execute("SELECT model, max(id) FROM stacks").fetchone()
    db.executemany("INSERT INTO users (id, name, balance, created) VALUES (?, ?, 0, 1)",
                   ((1000 + i, f"grown-{i}") for i in range(n)))
    db.executemany("INSERT INTO api_tokens (id, user, hash, name, last4, created) VALUES (?, ?, ?, 'x', 'xxxx', 1)",
                   ((1000 + i, 1000 + i, os.urandom(32)) for i in range(n)))
    db.executemany("INSERT INTO stacks (id, user, node, model, bought, spent, price, paid, created) "
                   "VALUES (?, ?, 1, ?, 100000, 0, 0, 0, 1)", ((stack + 1 + i, 1000 + i, model) for i in range(n)))


def grow_nodes(db, n):
    """As the first one was registered, for the same model at twice its price: considered, but never the cheapest."""
    new = [(1000 + i, os.urandom(32)) for i in range(n)]
    db.executemany("INSERT INTO nodes SELECT ?, ?, 'http://127.0.0.1:9', country, version, counter, validity_s, state, original, "
                   "admitted, seen, faults FROM nodes WHERE id = 1", new)
    db.executemany("INSERT INTO node_keys SELECT ?, ?, counter, not_before, not_after, statement, signature, added, superseded, "
                   "dropped FROM node_keys WHERE node = 1 LIMIT 1", new)
    db.executemany("INSERT INTO subscriptions SELECT ?, model, 2 * price, max_concurrent, max_units, lock_units, active "
                   "FROM subscriptions WHERE node = 1", ((i,) for i, _ in new))


def grow(how, n):
    """Puts n more into a broker's database."""
    def change(path):
        db = sqlite3.connect(path)
        with db:
            how(db, n)
        db.close()
    return change


def grown_once(lab, s, words):
    """The load on what is there now, and what each process needed for it."""
    short = [*words[:words.index("--lanes")], "--lanes", "1", "--seconds", "0.3"]
    systems.wait_for("service", lambda: subprocess.run(short, capture_output=True).returncode == 0)
    before = {role: systems.cpu_ns(pid) for role, pid in s.parts.items()}
    r = json.loads(subprocess.run(words, capture_output=True, text=True, timeout=100).stdout)
    return {"rps": r["rps"], "wrong": r["wrong"], "p50": r["total"]["p50"], "p99": r["total"]["p99"],
            "rss_kb": systems.rss_kb(s.parts["broker"]),
            "cpu_us": {role: round((systems.cpu_ns(pid) - before[role]) / 1e3 / r["answers"], 1) for role, pid in s.parts.items()}}


def growth(build, plan, say):
    """The same load with a small ledger, with many nodes, and with many users too: what a request costs must not depend on it."""
    users, nodes = GROWN[plan.scale]
    out = {"row": "growth", "what": "a lock and its request, 2 KB to 200 B, c=16, with a small and with a large ledger", "systems": {}}
    with systems.Lab(build, tempfile.mkdtemp(prefix="swb")) as lab:
        s = systems.Sealway(lab, "sealway-growth", broker_flags=["--probe-ms", "0"])
        systems.start_node(lab, [s])
        words = [lab.tool("bench-load"), *s.flags(), "--pairs", "--lanes", "16", "--seconds", str(2 * plan.seconds), "--warmup", "0.3"]
        sizes = {"users": 1, "nodes": 1}
        for name, more, change in (("small", {}, None), ("nodes", {"nodes": 1 + nodes}, grow(grow_nodes, nodes)),
                                   ("large", {"users": 1 + users}, grow(grow_users, users))):
            sizes.update(more)
            if change:
                s.restart_broker(change)
            out["systems"][name] = {**sizes, **grown_once(lab, s, words)}
            ready = sum(" ready " in line for line in s.run("node", "list").splitlines())
            if ready != sizes["nodes"]:
                raise RuntimeError(f"{ready} nodes are ready, not {sizes['nodes']}")
    out["failed"] = failed(out["systems"])
    say("growth: " + json.dumps(out["systems"]))
    return out


def open_streams(build, plan, say, streams=32000, gap_s=4, ramp_s=24):
    """Many open streams, each a chunk per gap_s: two workers (18,000 connections to nodes each), two nodes, one gateway by
    HTTP/2; two load generators from several source addresses.  Heartbeats are longer than their default of 1 s, because
    all of this shares two processors."""
    out = {"row": "open", "what": f"{streams:,} open streams, 1 chunk per {gap_s} s, heartbeats of 5 s"}
    chunks = ramp_s // gap_s + 4  # so that the first are still open when the last have come
    with systems.Lab(build, tempfile.mkdtemp(prefix="swb")) as lab:
        s = systems.Sealway(lab, "sealway-open", workers=2, broker_flags=["--heartbeat-ms", "5000"])
        systems.start_node(lab, [s])
        systems.start_second_node(lab, s, "second")
        base = {role: systems.rss_kb(pid) for role, pid in s.parts.items()}
        words = [lab.tool("bench-load"), *s.flags(http2=True), "--per-conn", "100", "--once", "--lanes", str(streams // 2),
                 "--chunks", str(chunks), "--gap-us", str(gap_s * 1000000), "--ramp", str(ramp_s), "--seconds",
                 str(ramp_s + gap_s * (chunks + 1)), "--drain", "40", "--sources", "8"]
        loads = [subprocess.Popen([*words, "--model", m], stdout=subprocess.PIPE, text=True) for m in ("bench", "second")]
        time.sleep(ramp_s + gap_s + 1)
        top = {role: systems.rss_kb(pid) for role, pid in s.parts.items()}
        results = [json.loads(p.communicate(timeout=240)[0]) for p in loads]
    out["answers"] = sum(r["answers"] for r in results)
    out["wrongs"] = [r["wrongs"] for r in results]
    out["chunk"] = {p: max(r["chunk"][p] for r in results) for p in ("p50", "p99")} if all(r["answers"] for r in results) else {}
    out["rss_kb"], out["rss_idle_kb"] = top, base
    out["kb_per_stream"] = round((sum(top.values()) - sum(base.values())) / streams, 2)
    out["failed"] = out["answers"] != streams or any(out["wrongs"])
    say("open: " + json.dumps(out))
    return out


def guarded(name, measured, say):
    """A row that cannot be measured is a failed row; the others count all the same."""
    try:
        return measured()
    except (RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
        say(f"{name}: failed: {e}")
        return {"row": name, "what": "", "failed": str(e)[-500:] or type(e).__name__}


def alone(build, plan, say):
    """Rows that start systems of their own."""
    out = []
    for name, measured in (("growth", growth), ("startup", startup), ("open", open_streams)):
        if name in plan.names:
            out.append(guarded(name, lambda m=measured: m(build, plan, say), say))
    return out
