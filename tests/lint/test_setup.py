# SPDX-License-Identifier: Apache-2.0
"""What deploy/install-packages and deploy/quickstart say and do where apt-get or the build fails: against programs that only play them."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(ROOT, "deploy")
PRESENT = "echo install ok installed"
AWAY = """case $1 in
update) echo "W: Failed to fetch http://mirror/InRelease  Temporary failure resolving 'mirror'" ;;
*) shift; for p in $(seq 30); do echo "E: Unable to locate package $p"; done; exit 100 ;;
esac"""


@pytest.fixture
def fake(tmp_path):
    """Programs that are found before the real ones, and the environment in which they are."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def make(**scripts):
        for name, script in {"dpkg_query": "exit 1", "sudo": 'exec "$@"', "sleep": "exit 0", **scripts}.items():
            path = programs / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    return make


def run(env, *cmd):
    return subprocess.run(cmd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def install(env):
    return run(env, os.path.join(DEPLOY, "install-packages"), "build")


def test_a_network_that_is_down_is_named(fake):
    r = install(fake(apt_get=AWAY))
    assert r.returncode == 1 and "Temporary failure resolving 'mirror'" in r.stderr and "is the network up" in r.stderr
    assert len(r.stderr.splitlines()) < 15
    log = r.stderr.split("all that it said is in ")[1].split(";")[0]
    assert "Unable to locate package 30" in open(log).read()


def test_another_program_that_installs_is_waited_for(fake, tmp_path):
    busy = f"""[ "$1" = update ] && exit 0
echo x >> {tmp_path}/tries
[ $(wc -l < {tmp_path}/tries) -gt 2 ] || {{ echo "E: Could not get lock /var/lib/dpkg/lock-frontend."; exit 100; }}"""
    r = install(fake(apt_get=busy))
    assert r.returncode == 0, r.stderr
    assert r.stdout.count("waiting for another program") == 1
    forever = 'echo "E: Could not get lock /var/lib/dpkg/lock-frontend."; exit 100'
    r = install(fake(apt_get=forever))
    assert r.returncode == 1 and "Could not get lock" in r.stderr


def test_a_source_that_fails_stops_nothing_that_another_has(fake):
    assert install(fake(apt_get='[ "$1" = install ] || exit 100')).returncode == 0


def test_a_build_that_fails_says_why(fake, tmp_path):
    shutil.copytree(DEPLOY, tmp_path / "clone" / "deploy")
    quickstart = str(tmp_path / "clone" / "deploy" / "quickstart")
    r = run(fake(dpkg_query=PRESENT, meson="echo 'ERROR: no compiler'; exit 1"), quickstart)
    assert r.returncode == 1 and r.stderr == "ERROR: no compiler\n"
    r = run(fake(dpkg_query=PRESENT, meson="echo noise", ninja="echo 'ninja: cannot'; exit 1"), quickstart)
    assert r.returncode == 1 and r.stderr == "ninja: cannot\n"


@pytest.fixture
def tests_run(tmp_path):
    """tests/run of a clone whose runner only tells its umask."""
    (tmp_path / "clone" / "tests").mkdir(parents=True)
    shutil.copytree(DEPLOY, tmp_path / "clone" / "deploy")
    (tmp_path / "clone" / "tests" / "runner.py").write_text("import os\nprint(oct(os.umask(0)))\n")
    return shutil.copy(os.path.join(ROOT, "tests", "run"), tmp_path / "clone" / "tests")


def test_an_ordinary_user_gets_the_tests_by_sudo(fake, tests_run):
    r = run(fake(dpkg_query=PRESENT, id="echo 1000", sudo='echo sudo "$@"'), tests_run, "lint")
    assert r.returncode == 0 and r.stdout == f"sudo {tests_run} lint\n"


def test_the_tests_have_no_umask_of_their_caller(fake, tests_run):
    r = run(fake(dpkg_query=PRESENT, id="echo 0"), "sh", "-c", f"umask 077; {tests_run}")
    assert r.stdout == "0o22\n", r.stderr
