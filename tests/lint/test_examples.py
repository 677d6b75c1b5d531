# SPDX-License-Identifier: Apache-2.0
"""The example files in deploy/config are what the programs themselves print, and they are good."""
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


@pytest.mark.parametrize("name", PARTS)
def test_units_start_what_is_installed(name):
    text = open(os.path.join(ROOT, "deploy", "systemd", f"sealway-{name}.service")).read()
    assert f"ExecStart=/usr/bin/sealway-{name} --config /etc/sealway/{name}.ini" in text
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "Type=notify", "UMask=0077"):
        assert line in text
