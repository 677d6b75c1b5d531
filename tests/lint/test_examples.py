# SPDX-License-Identifier: Apache-2.0
"""The example files in deploy/config are what the programs themselves print, and they are good."""
import json
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["SEALWAY_BUILD"]
PARTS = ["gateway", "broker", "worker", "node"]


@pytest.mark.parametrize("name", PARTS)
def test_example_is_the_table(name):
    binary = os.path.join(BUILD, name, f"sealway-{name}")
    printed = subprocess.run([binary, "--example-config"], capture_output=True, text=True, check=True).stdout
    kept = open(os.path.join(ROOT, "deploy", "config", f"{name}.ini")).read()
    assert printed == kept, f"run sealway-{name} --example-config > deploy/config/{name}.ini"
    assert printed.count("\n#") > 20


DEADLINES = [  # what PROTOCOL section 9 says, and the settings that keep it, in ms or s
    ("request head 10", ["gateway.head_ms", "node.head_s"]),
    ("request body 120", ["gateway.body_ms", "node.body_s"]),
    ("waiting for dispatch 30", ["gateway.dispatch_ms"]),
    ("connecting to a node 5", ["gateway.connect_ms", "worker.connect_s"]),
    ("the node's first byte 120", ["gateway.first_byte_ms", "worker.first_byte_s"]),
    ("the gap between two chunks 60", ["gateway.gap_ms", "worker.gap_s"]),
    ("a whole stream 3600", ["gateway.stream_ms", "worker.stream_s"]),
    ("reading on after stop-streamer 10", ["worker.stop_s"]),
    ("draining 30", [f"{p}.drain_s" for p in PARTS]),
]


@pytest.mark.parametrize("words, settings", DEADLINES, ids=lambda v: v if isinstance(v, str) else "")
def test_deadlines_are_those_of_the_protocol(words, settings):
    section = open(os.path.join(ROOT, "docs", "PROTOCOL.md")).read().split("## 9. Deadlines")[1]
    assert words in " ".join(section.split())
    for s in settings:
        part, name = s.split(".")
        example = open(os.path.join(ROOT, "deploy", "config", f"{part}.ini")).read()
        seconds = int(words.split()[-1])
        assert f"\n#{name} = {seconds * (1000 if name.endswith('_ms') else 1)}\n" in example, s


def unit(name):
    """A unit as it is installed."""
    return open(os.path.join(BUILD, "deploy", f"sealway-{name}.service")).read()


@pytest.mark.parametrize("name", PARTS)
def test_units_start_what_is_installed(name):
    options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", BUILD], capture_output=True, check=True).stdout)
    prefix, bindir = (next(o["value"] for o in options if o["name"] == n) for n in ("prefix", "bindir"))
    text = unit(name)
    assert f"ExecStart={os.path.join(prefix, bindir)}/sealway-{name} --config /etc/sealway/{name}.ini\n" in text
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "Type=notify", "UMask=0077"):
        assert line in text
    assert ("ExecReload=" in text) == (name in ("broker", "gateway"))  # SIGHUP is nothing to the others
    assert "\nStartLimitIntervalSec=0\n" in text.split("[Service]")[0]  # else the fifth start in 10 s is the last
    assert ("MemorySwapMax=0" in text) == (name == "node")  # prompts in the clear


def test_the_brokers_unit_makes_the_directories_of_its_settings():
    example = open(os.path.join(ROOT, "deploy", "config", "broker.ini")).read()
    text = unit("broker")
    assert "\nStateDirectory=sealway\n" in text and "#database = /var/lib/sealway/" in example
    assert "\nRuntimeDirectory=sealway\n" in text
    assert "#bus = ipc:///run/sealway/" in example and "#admin = ipc:///run/sealway/" in example
