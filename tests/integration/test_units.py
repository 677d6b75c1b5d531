# SPDX-License-Identifier: Apache-2.0
"""The four programs as their systemd units have them: under the units' filters, and with what systemd is told of them."""
import os
import re
import signal
import socket
import sys

from cluster import BUILD, wait_for
from parts import Parts

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKER = "ptrace" if os.environ.get("SEALWAY_SANITIZED") else ""  # a sanitized build looks for leaks from another process of its own


class UnderUnits(Parts):
    def prefix(self, role):
        unit = os.path.join(BUILD, "deploy", f"sealway-{role}.service")
        return [sys.executable, os.path.join(HERE, "unit_rules.py"), unit, CHECKER]


def test_programs_serve_under_the_filters_of_their_units():
    with UnderUnits() as p:
        p.start_all()
        p.operate()
        p.ready()
        for part in p.started:
            status = open(f"/proc/{part.p.pid}/status").read()
            assert int(re.search(r"Seccomp_filters:\s*(\d+)", status)[1]) >= 4, part.name  # the unit's three and its own
        for form in ([], ["--stream"]):
            r = p.ask(*form)
            assert (r.returncode, r.stdout) == (0, "a b a\n"), r.stderr


def notes(s):
    try:
        return s.recv(4096).decode().split("\n")
    except BlockingIOError:
        return []


def test_a_node_that_nobody_admits_does_not_hold_up_the_start_of_its_machine():
    """systemd starts what comes after multi-user.target, and lets `systemctl start` return, only after READY=1."""
    with Parts() as p, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(f"{p.dir}/notify")
        s.setblocking(False)
        p.start("node", env={"NOTIFY_SOCKET": f"{p.dir}/notify"})
        wait_for("READY=1", lambda: "READY=1" in notes(s))
        assert not os.path.exists(p.node.ready_file) and " event=ready " not in p.node.log()
        p.node.end(signal.SIGTERM)
        assert notes(s)[0] == "STOPPING=1"
