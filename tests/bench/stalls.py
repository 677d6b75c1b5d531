#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How often the machine takes a processor away from a program that wants it, and for how long: what no tail here can be below.

  tests/bench/stalls.py SECONDS        over all processors, as JSON
  tests/bench/stalls.py SECONDS CPU    of that one, each stall in us
"""
import json
import os
import subprocess
import sys
import time

LEAST_US = 500  # shorter ones are interrupts


def spin(cpu, seconds):
    """Lengths in us of all stalls of a loop that does nothing but look at the clock."""
    os.sched_setaffinity(0, {cpu})
    out = []
    last = time.monotonic_ns()
    end = last + int(seconds * 1e9)
    while last < end:
        now = time.monotonic_ns()
        if now - last >= LEAST_US * 1000:
            out.append((now - last) // 1000)
        last = now
    return out


def measure(seconds):
    """Spins on all processors at once."""
    cpus = sorted(os.sched_getaffinity(0))
    running = [subprocess.Popen([sys.executable, os.path.abspath(__file__), str(seconds), str(c)], stdout=subprocess.PIPE)
               for c in cpus]
    all_us = [us for p in running for us in json.loads(p.communicate()[0])]
    return {"seconds": seconds, "processors": len(cpus), "per_second": round(len(all_us) / seconds, 1),
            "longest_ms": max(all_us, default=0) / 1000, "share": round(sum(all_us) / 1e6 / seconds / len(cpus), 5)}


if __name__ == "__main__":
    print(json.dumps(spin(int(sys.argv[2]), float(sys.argv[1])) if len(sys.argv) > 2 else measure(float(sys.argv[1]))))
