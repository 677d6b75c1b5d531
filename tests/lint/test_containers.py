# SPDX-License-Identifier: Apache-2.0
"""The containers of deploy/compose: what their image installs, and which keys each of them is given."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["SEALWAY_BUILD"]
PROGRAMS = ["gateway/sealway-gateway", "broker/sealway-broker", "worker/sealway-worker", "node/sealway-node", "client/sealway"]
# docs/OPERATING.md has the same table
NEEDS = {
    "gateway": {"broker.pub", "gateway.key"},
    "worker": {"broker.pub", "worker.key", "proxy-request.key", "proxy-auth.key"},
    "worker2": {"broker.pub", "worker.key", "proxy-request.key", "proxy-auth.key"},
    "node": {"node.key", "proxy-auth.pub"},
}


def deployed(name):
    return open(os.path.join(ROOT, "deploy", "compose", name)).read()


def services(name):
    """The text of each service of a compose file."""
    text = deployed(name).split("\nservices:\n")[1]
    found = re.findall(r"^  (\w+):\n((?:(?:    .*)?\n)+)", re.split(r"^\w", text, 1, re.M)[0], re.M)
    return dict(found)


def output(*cmd):
    return subprocess.run(cmd, check=True, capture_output=True, text=True).stdout


def test_image_has_the_libraries_that_the_programs_link():
    linked = set()
    for program in PROGRAMS:
        linked |= set(re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-d", os.path.join(BUILD, program))))
    multiarch = output("gcc", "-print-multiarch").strip()
    owners = set()
    for library in linked:
        owned = output("dpkg", "-S", f"*/{library}")
        owners |= {line.split(":")[0] for line in owned.splitlines() if f"/lib/{multiarch}/{library}" in line}
    last = deployed("Containerfile").split("\nFROM ")[-1]
    installed = set(re.search(r"--no-install-recommends \\\n(.*)\\\n", last).group(1).split())
    assert installed == (owners - {"libc6"}) | {"ca-certificates"}


def test_image_has_programs_and_nothing_to_build_with():
    assert "meson install -C /build --tags runtime" in deployed("Containerfile")
    tagged = output("meson", "introspect", "--install-plan", BUILD)
    assert tagged.count('"tag": "runtime"') == len(PROGRAMS)
    last = deployed("Containerfile").split("\nFROM ")[-1]
    assert last.rstrip().splitlines()[-2] == "USER sealway" and "COPY --from=build /out/ /\n" in last


def test_keys_get_into_no_image():
    ignored = open(os.path.join(ROOT, ".dockerignore")).read().split()
    assert "context: ../.." in deployed("compose.yml") and "deploy/compose/keys" in ignored
    assert "-o sealway -g sealway -m 0700 /var/lib/sealway /run/sealway" in deployed("Containerfile")  # else the volumes are root's
    assert "useradd --system --uid 900 " in deployed("Containerfile") and "install -d -o 900 -m 700 " in deployed("compose.yml")


def test_each_part_gets_the_keys_that_it_needs():
    base, scaled = services("compose.yml"), services("compose.scaled.yml")
    assert set(base) == {"broker", "worker", "gateway", "node"} and set(scaled) == {"gateway", "worker2"}
    for name, needs in NEEDS.items():
        text = {**scaled, **base}[name]
        assert set(re.findall(r"/run/secrets/([\w.-]+)", text)) == needs
        given = re.findall(r"secrets: \[(.*)\]", text if name in base else base["worker"])
        assert set(given[0].split(", ")) == needs and "volumes:" not in text
    secrets = {k for needs in NEEDS.values() for k in needs if k.endswith(".key")}
    hidden = set(re.findall(r"- /dev/null:/keys/(.*):ro\n", base["broker"]))
    assert "- ./keys:/keys:ro\n" in base["broker"] and hidden == secrets  # peers is replaced there: it needs the directory
    assert all(f"  {k}: {{ file: keys/{k} }}\n" in deployed("compose.yml") for needs in NEEDS.values() for k in needs)


def test_addresses_are_given_below_those_that_are_dealt_out():
    text = deployed("compose.yml") + deployed("compose.scaled.yml")
    assert "subnet: 172.28.0.0/24, ip_range: 172.28.0.128/25" in text
    fixed = [int(n) for n in re.findall(r"ipv4_address: 172\.28\.0\.(\d+)", text)]
    assert len(fixed) == len(set(fixed)) == 3 and all(1 < n < 128 for n in fixed)
    advertised = re.findall(r"--advertise tcp://172\.28\.0\.(\d+):7701", text)  # no name: gateways would wait for it
    assert len(advertised) == text.count("--advertise") == 2 and set(map(int, advertised)) < set(fixed)
