# SPDX-License-Identifier: Apache-2.0
"""Builds sealway three ways and runs every test; tests/run installs the packages first.

Steps, all by default: build, lint, unit, integration, threads, client, tools, fuzz, mutants; threads, client, tools and
fuzz run beside integration, which mostly waits.  A step that cannot run counts as failed.  --long adds what takes longer than CI should (more fuzzing, soak rounds).
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "build-test")
STEPS = ["build", "lint", "unit", "integration", "threads", "client", "tools", "fuzz", "mutants"]
BESIDE = ["threads", "client", "tools", "fuzz"]  # beside integration, with what it leaves of the processors
BUILDS = {
    # name: (compiler, meson options)
    "plain": ("gcc", ["-Dbuildtype=debugoptimized"]),
    "asan": ("gcc", ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
    "clang": ("clang", ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                        "-Dfuzz=true", "-Dtests=false"]),
}
# Under ThreadSanitizer, what has threads and is not slow there: programs of tests/unit, files of tests/integration.
TSAN = ("gcc", ["-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false"])
TSAN_PROGRAMS = ["broker/sealway-broker", "worker/sealway-worker", "gateway/sealway-gateway", "node/sealway-node",
                 "client/sealway", "tests/integration/askers"]
TSAN_UNITS = ["broker/test_broker_store", "broker/test_broker_restart", "gateway/test_gateway_serve", "net/test_net_upstream_names"]
TSAN_UNITS_LONG = ["broker/test_broker_admin", "broker/test_broker_crash", "broker/test_broker_deaths", "broker/test_broker_life",
                   "broker/test_broker_lost", "broker/test_broker_peers", "broker/test_broker_plain", "client/test_client_sealway",
                   "common/test_common_zauth", "gateway/test_gateway_stream", "worker/test_worker_link",
                   "worker/test_worker_publish", "worker/test_worker_task_plain"]
TSAN_FILES = ["threads"]
TSAN_FILES_LONG = ["lifecycle", "operator", "parts", "plain_deaths", "readonly", "tls"]
SANITIZERS = {
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:suppressions=" + os.path.join(ROOT, "tests", "tsan.supp") + ":print_suppressions=0",
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_stack_use_after_return=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "LSAN_OPTIONS": "suppressions=" + os.path.join(ROOT, "tests", "lsan.supp") + ":print_suppressions=0",
}

# The machines that run this are shared: what fails is tried again, in view, and has to pass then.  A sanitizer's
# word is final.
AGAIN = 2
LONGER = 5  # times as long as in CI may --long take for the same files: it kills each process many times over
UNITS = 3  # programs of tests/unit at a time
FUZZERS = 6  # at a time: starting and reading a corpus leave a processor idle

passed = failed = 0
report = []
counting = threading.Lock()


def say(text):
    print(text, flush=True)


def tally(good, bad, what):
    global passed, failed
    good, bad = int(good), int(bad)
    with counting:
        passed += good
        failed += bad
        report.append((what, good, bad))
        say(f"  {what}: {good} passed, {bad} failed")


def kill_session(leader):
    """Kills everything that was started from leader on, whatever its process group."""
    for pid in (int(d) for d in os.listdir("/proc") if d.isdigit()):
        try:
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def run(cmd, timeout, **kw):
    with subprocess.Popen(cmd, cwd=ROOT, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, **kw) as p:
        try:
            out, code = p.communicate(timeout=timeout)[0], p.returncode
        except subprocess.TimeoutExpired:
            kill_session(p.pid)
            try:
                out = p.communicate(timeout=10)[0]
            except subprocess.TimeoutExpired as e:  # somebody in a session of its own still holds the pipe
                out = (e.stdout or b"").decode(errors="replace")
            out, code = out + f"\n(killed after {timeout} s, with all that it had started)\n", 124
        except BaseException:
            kill_session(p.pid)
            raise
    return subprocess.CompletedProcess(cmd, code, out)


def env_with(**more):
    return dict(os.environ, **SANITIZERS, **more)


def build_one(name, cc, options, targets=()):
    """Whether it could be built."""
    where = os.path.join(OUT, name)
    if not os.path.exists(os.path.join(where, "build.ninja")):
        r = run(["meson", "setup", where, "-Dwerror=true"] + options, 300, env=dict(os.environ, CC=cc))
        if r.returncode:
            say(r.stdout[-4000:])
            tally(0, 1, f"configure {name}")
            return False
    r = run(["ninja", "-C", where, *targets], 1200)
    if r.returncode:
        say(r.stdout[-6000:])
    tally(r.returncode == 0, r.returncode != 0, f"build {name} ({cc}, warnings are errors)")
    return r.returncode == 0


def build(args):
    for name, (cc, options) in BUILDS.items():
        build_one(name, cc, options)


def unit_once(test):
    """(passed, failed, what it printed) of one test program."""
    r = run([test], 600, env=env_with())
    good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", r.stdout))
    bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", r.stdout))
    if r.returncode and not bad or not good + bad:
        bad += 1
    return good, bad, r.stdout


def units(name, tests):
    """Some at a time: most of them wait for something.  What fails is tried again alone."""
    where = os.path.join(OUT, name, "tests", "unit")
    with ThreadPoolExecutor(UNITS) as pool:
        first = list(pool.map(unit_once, tests))
    for test, (good, bad, text) in zip(tests, first):
        what = f"unit {name} {os.path.relpath(test, where)}"
        for attempt in range(AGAIN):
            if not bad or "Sanitizer" in text or "runtime error" in text:
                break
            say(text[-6000:])
            say(f"  attempt {attempt + 1} of {what} failed; once more, by itself:")
            good, bad, text = unit_once(test)
        if bad:
            say(text[-6000:])
        tally(good, bad, what)


def unit(args):
    for name in ("plain", "asan"):
        where = os.path.join(OUT, name, "tests", "unit")
        tests = sorted(os.path.join(d, f) for d, _, fs in os.walk(where) for f in fs
                       if f.startswith("test_") and os.access(os.path.join(d, f), os.X_OK) and "." not in f)
        if not tests:
            tally(0, 1, f"unit {name}: no test was built")
        units(name, tests)


def pytest(args, what, paths, timeout, again=True, **env):
    r = run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"] + paths,
            timeout * (LONGER if args.long else 1),
            env=env_with(PYTHONDONTWRITEBYTECODE="1", SEALWAY_LONG="1" if args.long else "", **env))
    count = {k: 0 for k in ("passed", "failed", "error", "errors", "skipped")}
    tail = r.stdout.strip().split("\n")[-1]
    for n, k in re.findall(r"(\d+) (passed|failed|errors?|skipped)", tail):
        count[k] += int(n)
    bad = count["failed"] + count["error"] + count["errors"] + count["skipped"]  # a skipped test is a failing one
    if r.returncode and not bad or not count["passed"] + bad:
        bad += 1
    if bad:
        say(r.stdout[-20000:])
        at = r.stdout.find("WARNING: ThreadSanitizer")
        if at >= 0:  # in front of all the logs
            say("...\n" + r.stdout[at:at + 6000])
        failing = re.findall(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - |$)", r.stdout, re.M)
        if again and len(failing) == bad <= 5 and "Sanitizer" not in r.stdout:
            say(f"  attempt 1 of {what} failed in {bad}; once more, by themselves:")
            good, bad_now = pytest(args, None, failing, timeout, again=False, **env)
            if good == bad:
                count["passed"], bad = count["passed"] + good, bad_now
    if what:
        tally(count["passed"], bad, what)
    return count["passed"], bad


def lint(args):
    pytest(args, "lint", ["tests/lint"], 300, SEALWAY_BUILD=os.path.join(OUT, "plain"))


def integration(args):
    """Both builds at a time: nearly all of it is waiting."""
    def one(name):
        pytest(args, f"integration {name}", ["tests/integration"], 1200, SEALWAY_BUILD=os.path.join(OUT, name),
               SEALWAY_SANITIZED="1" if name == "asan" else "")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, ("plain", "asan")))


def threads(args):
    """Data races, by ThreadSanitizer."""
    names = [os.path.join("tests", "unit", t) for t in TSAN_UNITS + (TSAN_UNITS_LONG if args.long else [])]
    if not build_one("tsan", *TSAN, targets=TSAN_PROGRAMS + names):
        return
    where = os.path.join(OUT, "tsan")
    units("tsan", [os.path.join(where, n) for n in names])
    files = TSAN_FILES + (TSAN_FILES_LONG if args.long else [])
    pytest(args, "integration tsan", [f"tests/integration/test_{f}.py" for f in files], 300, SEALWAY_BUILD=where,
           SEALWAY_SANITIZED="thread")


def client(args):
    """The published npm client, unmodified, against the running system."""
    pytest(args, "npm client", ["tests/npm"], 600, SEALWAY_BUILD=os.path.join(OUT, "plain"))


def tools(args):
    pytest(args, "tools of the benchmark", ["tests/bench"], 300, SEALWAY_BUILD=os.path.join(OUT, "plain"))


def mutants(args):
    """Each guard of the ledger taken out once; only in long runs."""
    if not args.long:
        say("  only with --long")
        return
    r = run([os.path.join(ROOT, "tests", "mutants")], 3600)
    say(r.stdout[-6000:])
    good, bad = (re.findall(r"^(\d+) passed, (\d+) failed$", r.stdout, re.M) or [(0, 1)])[-1]
    tally(good, int(bad) or r.returncode != 0, "mutants of the ledger's guards")


def fuzz(args):
    if threading.current_thread() is not threading.main_thread():
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # of this thread, and what it starts
    seconds = args.fuzz_seconds or (600 if args.long else 30)
    where = os.path.join(OUT, "clang", "tests", "fuzz")
    targets = sorted(f for f in os.listdir(where) if f.startswith("fuzz_") and "." not in f) if os.path.isdir(where) else []
    if not targets:
        tally(0, 1, "fuzz: no target was built")
    running = []
    for t in targets + [None] * FUZZERS:
        while running and (t is None or len(running) >= FUZZERS):
            name, p, log = running.pop(0)
            code = p.wait()
            text = open(log, errors="replace").read()
            runs = re.findall(r"stat::number_of_executed_units: (\d+)", text)
            if code or not runs:
                say(text[-4000:])
            tally(code == 0 and bool(runs), not (code == 0 and runs), f"{name} ({runs[-1] if runs else 0} runs in {seconds} s)")
        if t:
            log = os.path.join(OUT, t + ".log")
            grown = os.path.join(OUT, "corpus", t)
            os.makedirs(grown, exist_ok=True)
            seeds = os.path.join(ROOT, "tests", "fuzz", "corpus", t[len("fuzz_"):])
            words = os.path.join(ROOT, "tests", "fuzz", t[len("fuzz_"):] + ".dict")
            cmd = [os.path.join(where, t)] + ([f"-dict={words}"] if os.path.exists(words) else []) + [grown] + ([seeds] if os.path.isdir(seeds) else []) + [
                f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048",
                "-artifact_prefix=" + os.path.join(OUT, t + "-")]
            running.append((t, subprocess.Popen(cmd, stdout=open(log, "w"), stderr=subprocess.STDOUT, cwd=OUT,
                                                env=env_with()), log))


def write_report(seconds):
    """The summary of a long run, for the repository."""
    commit = run(["git", "-c", "safe.directory=*", "rev-parse", "--short", "HEAD"], 10).stdout.strip()
    lines = ["# The last long run", "", "Written by `./tests/run --long`; each row is one test program or target.", "",
             f"{time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit}, {os.cpu_count()} processors, {seconds:.0f} s: "
             f"**{passed} passed, {failed} failed**.", "", "| what | passed | failed |", "|---|---|---|"]
    lines += [f"| {what} | {good} | {bad} |" for what, good, bad in report]
    with open(os.path.join(ROOT, "docs", "LONG-RUN.md"), "w") as f:
        f.write("\n".join(lines) + "\n")


def take(step, args):
    began = time.time()
    say(f"== {step}")
    try:
        globals()[step](args)
    except OSError as e:
        tally(0, 1, f"{step}: {e}")
    say(f"   ({step}: {time.time() - began:.0f} s)")


class Beside:
    """Takes steps on a thread of their own, less urgent than what goes on meanwhile, and waits for them at the end."""

    def __init__(self, steps, args):
        self.steps, self.args = steps, args
        self.thread = threading.Thread(target=self.run)

    def run(self):
        os.nice(10)  # on Linux of this thread alone, and of what it starts
        for step in self.steps:
            try:
                take(step, self.args)
            except Exception as e:  # nobody else hears of it
                tally(0, 1, f"{step}: {e!r}")

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--long", action="store_true", help="more rounds, more fuzzing; writes docs/LONG-RUN.md")
    p.add_argument("--fuzz-seconds", type=int, help="per target; default 30, with --long 600")
    p.add_argument("steps", nargs="*", choices=STEPS + [[]])
    args = p.parse_args()
    os.makedirs(OUT, exist_ok=True)
    if args.long:
        os.environ["SEALWAY_LONG"] = "1"  # unit tests read it
    start = time.time()
    steps = args.steps or STEPS
    beside = [s for s in BESIDE if s in steps and "integration" in steps]
    for step in steps:
        if step not in beside:
            with Beside(beside if step == "integration" else [], args):
                take(step, args)
    if args.long and not args.steps:
        write_report(time.time() - start)
    say(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
