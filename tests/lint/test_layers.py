# SPDX-License-Identifier: Apache-2.0
"""Folders are trust barriers: who may include whom, and what the middle processes really link."""
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["SEALWAY_BUILD"]
MIDDLE = ["gateway", "broker", "worker"]

# folder -> prefixes of ours that its files may include
MAY = {
    "common": ["common/"],
    "proto": ["common/", "proto/"],
    "gateway": ["common/", "proto/", "gateway/"],
    "broker": ["common/", "proto/", "broker/"],
    "worker": ["common/", "proto/", "worker/"],
    "node": ["common/", "proto/", "node/"],
    "client": ["common/", "proto/", "client/"],
}
# library header -> the only places that may include it
OWNERS = {
    "zmq.h": r"common/(zsock|zauth)[a-z_]*\.[ch]",
    "h2o.h": r"common/httpd/.*",
    "h2o/": r"common/httpd/.*",
    "curl/": r"client/http\.c",
    "openssl/": r"common/net/upstream_tls\.c|common/httpd/tls\.c|common/seal/seal\.c",
    "sqlite3.h": r"broker/store_sqlite[a-z_]*\.[ch]",
    "msgpack.h": r"proto/mp\.c",
    "ini.h": r"common/conf\.c",
}


def sources():
    for folder in MAY:
        for d, _, files in os.walk(os.path.join(ROOT, folder)):
            for f in files:
                if f.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(d, f), ROOT)
                    yield path, open(os.path.join(ROOT, path), encoding="utf-8").read()


def includes(text):
    return re.findall(r'^\s*#\s*include\s*([<"])([^">]+)[">]', text, re.M)


def test_there_are_sources():
    assert len(list(sources())) > 60


def test_includes_point_downwards():
    bad = []
    for path, text in sources():
        folder = path.split("/")[0]
        for kind, name in includes(text):
            if kind != '"':
                continue
            if not any(name.startswith(p) for p in MAY[folder]):
                bad.append(f"{path} includes {name}")
            if not os.path.exists(os.path.join(ROOT, name)):
                bad.append(f"{path} includes {name}, which is not from the root")
    assert not bad, "\n".join(bad)


def test_common_is_layered():
    """The plain part of common knows neither its own libraries on top nor ZeroMQ, HTTP or seals."""
    bad = []
    for path, text in sources():
        if not path.startswith("common/"):
            continue
        own = os.path.dirname(path)
        for kind, name in includes(text):
            if kind == '"' and name.startswith("common/") and os.path.dirname(name) not in ("common", own):
                bad.append(f"{path} includes {name}")
    assert not bad, "\n".join(bad)


def test_one_owner_per_library():
    bad = []
    for path, text in sources():
        for kind, name in includes(text):
            for lib, owner in OWNERS.items():
                if kind == "<" and name.startswith(lib) and not re.fullmatch(owner, path):
                    bad.append(f"{path} includes <{name}>")
    assert not bad, "\n".join(bad)


def test_middle_never_includes_seal():
    bad = [path for path, text in sources() if path.split("/")[0] in MIDDLE and "common/seal/" in text]
    assert not bad


def symbols(binary, *flags):
    out = subprocess.run(["nm", *flags, binary], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if line.strip()}


@pytest.mark.parametrize("name", MIDDLE)
def test_middle_cannot_open_a_body(name):
    """No symbol of the seal library, and no call into a cipher or key agreement of a crypto library."""
    binary = os.path.join(BUILD, name, f"sealway-{name}")
    assert not {s for s in symbols(binary) if s.startswith("seal_")}
    cipher = re.compile(r"EVP_(Open|Seal|Encrypt|Decrypt|Cipher|PKEY_derive|CIPHER_fetch|aes_|chacha)|"
                        r"crypto_(scalarmult|aead|box|secretbox|secretstream|stream|kx)(_|$)|AES_")
    called = {s for s in symbols(binary, "-D", "--undefined-only") if cipher.match(s)}
    assert not called, called


@pytest.mark.parametrize("name", ["node", "client"])
def test_the_ends_do_open_bodies(name):
    """The check above can fail: the same look at the ends finds the seal library."""
    binary = os.path.join(BUILD, name, "sealway" if name == "client" else f"sealway-{name}")
    assert "seal_decrypt" in symbols(binary)


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_no_database_in(name):
    binary = os.path.join(BUILD, name, f"sealway-{name}")
    out = subprocess.run(["readelf", "-d", binary], check=True, capture_output=True, text=True).stdout
    assert "libsqlite3" not in out and "NEEDED" in out
