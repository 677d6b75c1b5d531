# SPDX-License-Identifier: Apache-2.0
"""What takes minutes and is no comparison: a soak under mixed load, and instructions counted by callgrind."""
import glob
import json
import os
import re
import subprocess
import tempfile
import time

import systems

SETTLED = 0.3  # of the time: from here on memory has to be flat
GROWTH, GROWTH_KB = 1.1, 4096  # what "flat" allows on top: allocators keep what a busy moment needed
FILLS_KB = {"broker": 65536, "gateway": 4096}  # SQLite's page cache fills up with the ledger; large bodies at a time


def mixed(lab, s, seconds):
    """Short requests, paced streams and locks, all at a time."""
    loads = {"short": ["--lanes", "64", "--rate", "150"], "streams": ["--lanes", "100", "--chunks", "250", "--gap-us", "20000"],
             "pairs": ["--lanes", "1", "--pairs"], "long prompts": ["--lanes", "1", "--size", "1048576", "--bodies", "2", "--rate", "1"]}
    return {name: subprocess.Popen([lab.tool("bench-load"), *s.flags(), *flags, "--seconds", str(seconds)], text=True,
                                   stdout=subprocess.PIPE) for name, flags in loads.items()}


def bound(samples, role=""):
    """What the last of [(second, kB)] may be: the most that was reached in the first SETTLED of the time, and a little more."""
    return max(kb for t, kb in samples if t <= SETTLED * samples[-1][0]) * GROWTH + GROWTH_KB + FILLS_KB.get(role, 0)


def flat(samples, role=""):
    return samples[-1][1] <= bound(samples, role)


def memory(samples, role=""):
    """kB at the start, in the middle, at the end, and what the end may be at most."""
    return {"start": samples[0][1], "middle": samples[len(samples) // 2][1], "end": samples[-1][1], "bound": round(bound(samples, role))}


def soak(build, seconds, say):
    with systems.Lab(build, tempfile.mkdtemp(prefix="swb")) as lab:
        s = systems.Sealway(lab, "sealway-soak")
        systems.start_node(lab, [s])
        loads = mixed(lab, s, seconds)
        began = time.time()
        samples = {role: [(0, systems.rss_kb(pid))] for role, pid in s.parts.items()}
        while time.time() - began < seconds:
            time.sleep(min(10, seconds / 20))
            for role, pid in s.parts.items():
                samples[role].append((round(time.time() - began, 1), systems.rss_kb(pid)))
        results = {name: json.loads(p.communicate(timeout=90)[0]) for name, p in loads.items()}
        s.run("ledger", "check")
    out = {"row": "soak", "what": f"short requests, streams, locks with requests and 1 MB prompts at a time, {seconds:.0f} s",
           "answers": {n: r["answers"] for n, r in results.items()}, "wrongs": {n: r["wrongs"] for n, r in results.items() if r["wrong"]},
           "rss_kb": {role: memory(v, role) for role, v in samples.items()}}
    out["failed"] = bool(out["wrongs"]) or not all(flat(v, role) for role, v in samples.items())
    say("soak: " + json.dumps(out))
    return out


# --- instructions ---

LIVES = {  # a pair of loads: requests of whole answers; then chunks of 4 streams
    "full": (20, 220, 50, 550),
    "smoke": (2, 22, 0, 0),
}


def counted(build, flags, ramp):
    """{role: instructions} of a whole life with that load in it."""
    with systems.Lab(build, tempfile.mkdtemp(prefix="swb")) as lab:
        s = systems.Sealway(lab, "sealway-counted", broker_flags=["--heartbeat-ms", "10000", "--seccomp=false"],
                            worker_flags=["--seccomp=false"], gateway_flags=["--seccomp=false"], under=lambda role: [
                                "valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={lab.dir}/{role}.out"])
        systems.start_node(lab, [s])
        r = json.loads(subprocess.run([lab.tool("bench-load"), *s.flags(), *flags, "--once", "--ramp", str(ramp), "--seconds", "5",
                                       "--bodies", "8"], capture_output=True, text=True, timeout=200).stdout)
        if r["wrong"]:
            raise RuntimeError(f"under callgrind: {r['wrongs']}")
        lab.end_all()
        return {role: sum(int(re.search(r"^(?:summary|totals): (\d+)", open(f).read(), re.M)[1])
                          for f in glob.glob(f"{lab.dir}/{role}.out*")) for role in ("broker", "worker", "gateway")}


def per_each(few, many, n):
    return {role: round((many[role] - few[role]) / n / 1e3, 2) for role in few}


def instructions(build, say, scale="full"):
    """Differences of two lives, so that starting, ending and heartbeats fall out."""
    few, many, short, long = LIVES[scale]
    ramp = 3 if scale == "full" else 0.3
    requests = [counted(build, ["--lanes", str(n)], ramp) for n in (few, many)]
    out = {"row": "instructions", "what": "instructions, counted by callgrind, in thousands",
           "per_request": per_each(*requests, many - few)}
    if long:
        streams = [counted(build, ["--lanes", "4", "--chunks", str(n)], ramp) for n in (short, long)]
        out["per_chunk"] = per_each(*streams, 4 * (long - short))
    say("instructions: " + json.dumps(out))
    return out
