# SPDX-License-Identifier: Apache-2.0
"""The sealway command as scripts and people use it: where text goes, which status it ends with, what a kept
receipt proves, and what is refused."""
import base64
import json
import os
import struct
import subprocess
import time

import pytest
from cluster import SEALWAY, SLOW
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from parts import plain_env
from sealclient import RAW, H, b64, unb64

ASKING = ("complete", "chat", "embed", "image")


def run(up, *args, input=None, env=None, **kw):
    """The command against this system; text in and out."""
    e = plain_env(**{"SEALWAY_URL": up.url, "SEALWAY_TOKEN": up.token, "HOME": up.top,
                     "SEALWAY_KNOWN_NODES": os.path.join(up.dir, "known_nodes"), **(env or {})})
    r = subprocess.run([SEALWAY, *args], input=input, capture_output=kw.pop("capture_output", True), env=e,
                       timeout=60 * SLOW, **kw)
    if r.stderr:
        assert b"Sanitizer" not in r.stderr and b"runtime error" not in r.stderr, r.stderr
        assert up.token.encode() not in r.stderr
    return r


# --- where text goes ---

def test_text_to_stdout_all_else_to_stderr(up):
    for args, out in ((["complete", "--max-tokens", "2", "one two"], b"one two\n"),
                      (["complete", "--stream", "--max-tokens", "3", "one two"], b"one two one\n"),
                      (["chat", "--max-tokens", "1", "one two"], b"one\n"),
                      (["chat", "--stream", "--max-tokens", "2", "one two"], b"one two\n")):
        r = run(up, *args)
        assert (r.returncode, r.stdout) == (0, out), r.stderr
        assert b"receipt verified" in r.stderr and b"one" not in r.stderr
        r = run(up, *args, "--quiet")
        assert (r.returncode, r.stdout, r.stderr) == (0, out, b"")
        r = run(up, *args, "--show-wire")
        assert (r.returncode, r.stdout) == (0, out) and b'"ciphertext"' in r.stderr and b"one two" not in r.stderr


@pytest.mark.parametrize("command", ASKING)
def test_standard_input(up, command):
    text = "some text äöü 日本\nwith lines".encode()
    flags = ["--max-tokens", "5"] if command in ("complete", "chat") else []
    by_pipe = run(up, command, *flags, "-", input=text)
    by_word = run(up, command, *flags, text.decode())
    assert by_pipe.returncode == by_word.returncode == 0, by_pipe.stderr
    assert by_pipe.stdout == by_word.stdout != b""
    r = run(up, command, *flags, "-", input=b"")
    assert (r.returncode, r.stdout) == (2, b"") and b"empty" in r.stderr


@pytest.mark.parametrize("command", ASKING)
def test_json_of_each(up, command):
    r = run(up, command, "--json", "a b")
    assert r.returncode == 0
    (line,) = r.stdout.splitlines()
    o = json.loads(line)
    assert o["model"] == up.model if command in ("complete", "chat") else "data" in o
    assert line == line.rstrip()  # the padding stays inside


def test_every_kind_of_text_comes_back(up):
    for text in ('quotes " and \\ backslashes', "tab\tand\nnewline", "emoji 🦭 and \u2028 line", "<script>&amp;",
                 "nul-free \x7f \x01 controls", "a" * 5000, "--looks-like-an-option"):
        r = run(up, "chat", "--max-tokens", "9999", "--", text)
        assert r.returncode == 0, (text, r.stderr)
        words = text.split()
        assert r.stdout.decode().split()[:len(words)] == words
    r = run(up, "chat", "-", input=b"\xff\xfe not UTF-8")
    assert (r.returncode, r.stdout, r.stderr) == (2, b"", b"sealway: the text is not UTF-8\n")


def test_a_reader_that_goes_away_and_a_full_disk(up):
    with open("/dev/full", "wb") as full:
        for command in (["user", "list"], ["user", "list", "--json"], ["ledger", "export", "--what", "journal"],
                        ["ledger", "check"], ["status"], ["top", "--json"], ["token", "create", "demo", "untold"], ["--man"],
                        ["completion", "bash"]):
            r = run(up, *command, capture_output=False, stdout=full, stderr=subprocess.PIPE, env={"SEALWAY_DIR": up.dir})
            assert r.returncode == 1 and b"cannot be written" in r.stderr, command
        for command in ASKING:
            r = run(up, command, "a b", capture_output=False, stdout=full, stderr=subprocess.PIPE)
            assert r.returncode == 1 and r.stderr, command
    p = subprocess.Popen(f"{SEALWAY} complete --stream --max-tokens 2000 'a b' | head -c 1", shell=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=plain_env(SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top))
    out, err = p.communicate(timeout=30 * SLOW)
    assert out == b"a" and p.returncode == 0 and b"Sanitizer" not in err


def closed(up, numbers, *args):
    """The command with those standard descriptors closed, as a shell's >&- does."""
    redirect = " ".join(f"{n}{'<' if n == 0 else '>'}&-" for n in numbers)
    return subprocess.run(["/bin/sh", "-c", f'exec "$0" "$@" {redirect}', SEALWAY, *args], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60 * SLOW,
                          env=plain_env(SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top, SEALWAY_DIR=up.dir,
                                        SEALWAY_KNOWN_NODES=os.path.join(up.dir, "known_nodes")))


def test_closed_standard_descriptors(up):
    """What is printed goes nowhere, above all not into a socket or file that got the number, and is missed."""
    for args in (["complete", "--max-tokens", "2", "a b"], ["chat", "--stream", "a b"], ["user", "list"], ["user", "add", "closed"],
                 ["status"], ["--man"]):
        r = closed(up, [1], *args)
        assert r.returncode == 1 and b"cannot" in r.stderr and b"Assertion" not in r.stderr, (args, r.stderr)
    assert b"closed" in run(up, "user", "list", env={"SEALWAY_DIR": up.dir}).stdout  # done, though not told
    for numbers in ([0], [2], [0, 2]):
        r = closed(up, numbers, "complete", "--max-tokens", "2", "a b")
        assert (r.returncode, r.stdout) == (0, b"a b\n"), numbers
    assert closed(up, [0, 1, 2], "user", "list").returncode == 1
    r = closed(up, [0], "complete", "-")
    assert r.returncode == 2 and b"cannot read standard input" in r.stderr


# --- statuses ---

@pytest.mark.parametrize("args", [
    [], ["nonsense"], ["complete"], ["complete", "a", "b"], ["complete", "--no-such", "x"], ["complete", "-x", "x"],
    ["complete", "--model"], ["complete", "--max-tokens", "many", "x"], ["complete", "--max-tokens=-1", "x"],
    ["complete", "--stream=yes", "x"], ["complete", "--timeout", "0", "x"], ["complete", ""],
    ["complete", "--url", "ftp://127.0.0.1", "x"], ["complete", "--url", "not a url", "x"],
    ["complete", "--url", "http://user:pw@127.0.0.1?q=1", "x"], ["complete", "--token", "two words", "x"],
    ["embed", "--stream", "x"], ["embed", "--max-tokens", "3", "x"], ["image", "--size", "big", "x"],
    ["image", "--size", "10x", "x"], ["image", "--size", "99999x99999", "x"], ["receipt"], ["receipt", "verify"],
    ["receipt", "forge", "x"], ["receipt", "verify", "x", "y"], ["keys"], ["keys", "steal"],
    ["keys", "node", "--name", "../x"], ["up", "word"], ["up", "--gateways", "0"], ["up", "--nodes", "x"],
    ["up", "--listen", "nowhere"], ["up", "--engine", "magic"], ["user", "add"], ["user", "fund", "demo"],
    ["token", "create", "demo"], ["node", "admit"], ["node", "show", "x"], ["node", "admit", "--readdress", "--id", "3"],
    ["node", "admit", "--readdress", "--url", "http://127.0.0.1:1"], ["status", "now"],
    ["node", "admit", b64(bytes(31) + b"\1"), "--url", "https://node.example", "--node-key", b64(bytes(31) + b"\1"), "--model", "m"],
    ["user", "price", "demo", "demo"], ["user", "price", "demo", "demo", "--price", "1", "--remove"],
    ["user", "add", "x", "--micro-usd", "5"], ["user", "--micro-usd", "5", "add", "x"], ["user", "show"], ["user", "show", "a", "b"],
    ["user", "fund", "demo", "--micro-usd", "1", "--node", "1"], ["token", "create", "demo", "x", "--user", "demo"],
    ["stack", "list", "--node", "1"], ["node", "remove", "1", "--off"], ["model", "show"], ["request", "show"],
    ["ledger"], ["ledger", "prove"], ["ledger", "export", "--database", "f"], ["ledger", "--database", "f", "export"],
    ["ledger", "backup", "f", "--user", "demo"], ["ledger", "check", "--from", "2026-01-01"], ["ledger", "check", "f"],
], ids=lambda a: " ".join(a) or "nothing")
def test_wrong_usage(up, args):
    r = run(up, *args)
    assert (r.returncode, r.stdout) == (2, b"") and r.stderr.startswith((b"sealway", b"usage:")), r.stderr


def test_options_come_anywhere(up):
    where = {"SEALWAY_DIR": up.dir}
    for args in (["user", "show", "demo", "--json"], ["user", "--json", "show", "demo"], ["user", "show", "--json", "--", "demo"]):
        r = run(up, *args, env=where)
        assert r.returncode == 0 and json.loads(r.stdout)["user"] == "demo", (args, r.stderr)
    for args in (["user"], ["user", "list"], ["user", "--json"], ["user", "--json", "list"]):
        assert b"demo" in run(up, *args, env=where).stdout, args
    r = run(up, "user", "fund", "--help")
    assert r.returncode == 0 and b"--micro-usd" in r.stdout and b"--rate" not in r.stdout
    assert r.stdout.startswith(b"usage: sealway user fund [options] NAME\n")


def test_prices_of_a_user(up):
    where = {"SEALWAY_DIR": up.dir}

    def prices():
        return json.loads(run(up, "user", "show", "demo", "--json", env=where).stdout)["prices"]
    assert run(up, "user", "price", "demo", up.model, "--price", "7", "--node", "1", env=where).returncode == 0
    assert prices() == [{"model": up.model, "node": 1, "price": 7}]
    assert run(up, "user", "price", "demo", up.model, "--node", "1", env=where).returncode == 2  # not: for nothing
    assert prices() == [{"model": up.model, "node": 1, "price": 7}]
    assert run(up, "user", "price", "demo", up.model, "--remove", "--node", "1", env=where).returncode == 0
    assert prices() == []


def test_without_a_token(up):
    r = run(up, "complete", "x", env={"SEALWAY_TOKEN": ""})
    assert (r.returncode, r.stdout) == (2, b"") and b"SEALWAY_TOKEN" in r.stderr


@pytest.mark.parametrize("args, word", [
    (["--token", "sk-sealway-" + "A" * 43], b"does not know this token"),
    (["--token", "sk-sealway-" + "A" * 43, "--model", "demo"], b"401 AUTH_ERROR"),
    (["--model", "no-such-model"], b"503 SERVICE_UNAVAILABLE"),
    (["--model", "demo", "--url", "http://127.0.0.1:1"], b"cannot talk to http://127.0.0.1:1"),
    (["--model", "m" * 257], b"model"),
    (["--node-key", "AAAA"], b"key"),
    (["--receipt", "/nowhere/r.json"], b"/nowhere/r.json"),
    (["--known-nodes", "/proc/nowhere/pins"], b"/proc/nowhere"),
])
def test_failures(up, args, word):
    r = run(up, "complete", "--max-tokens", "1", *args, "x")
    assert r.returncode in (1, 2) and word in r.stderr, r.stderr
    assert r.stdout == b"" or "--receipt" in args
    assert b"A" * 43 not in r.stderr


@pytest.mark.parametrize("args, word", [
    (["user", "fund", "demo"], b"user fund: --micro-usd is missing"),
    (["user", "limit", "demo"], b"user limit: one of --rate, --concurrent and --units-per-minute is missing"),
    (["user", "price", "demo", "demo"], b"user price: --price, or --remove, is missing"),
    (["stack", "grant", "demo", "--model", "m", "--units", "1"], b"stack grant: --node is missing"),
    (["stack", "grant", "demo", "--node", "1", "--units", "1"], b"stack grant: --model is missing"),
    (["stack", "grant", "demo", "--node", "1", "--model", "m"], b"stack grant: --units is missing"),
    (["node", "admit"], b"node admit: the node's KEY, or a FILE with it, is missing"),
    (["node", "admit", b64(bytes(31) + b"\1"), "--model", "m"], b"node admit: --price is missing"),
    (["node", "admit", "--readdress", "--id", "3"], b"node admit: --url is missing"),
    (["node", "admit", "--readdress", "--url", "http://127.0.0.1:1"], b"node admit: --id is missing"),
], ids=lambda a: " ".join(a) if isinstance(a, list) else "")
def test_wrong_usage_names_what_is_missing(up, args, word):
    r = run(up, *args)
    assert r.returncode == 2 and word in r.stderr, r.stderr


def test_no_broker_says_where(up, tmp_path):
    r = run(up, "status", "--admin", f"ipc://{tmp_path}/nobody")
    assert r.returncode == 1 and f"no broker answers at ipc://{tmp_path}/nobody".encode() in r.stderr, r.stderr
    r = run(up, "status", "--dir", str(tmp_path))
    assert r.returncode == 1 and str(tmp_path).encode() in r.stderr, r.stderr


def test_the_receipts_file_is_opened_before_anything_is_paid(up, tmp_path):
    where = {"SEALWAY_DIR": up.dir}

    def requests():
        return json.loads(run(up, "top", "--json", env=where).stdout)["counts"]["requests"]
    before = requests()
    for bad in ("/nowhere/r.json", str(tmp_path)):
        r = run(up, "complete", "--max-tokens", "1", "--receipt", bad, "x")
        assert (r.returncode, r.stdout) == (1, b"") and f"cannot write {bad}".encode() in r.stderr, r.stderr
    assert requests() == before
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text("as it was")
    for f in (new, old):  # a request that fails leaves no file, and none emptied
        assert run(up, "complete", "--model", "no-such-model", "--receipt", str(f), "x").returncode == 1
    assert not new.exists() and old.read_text() == "as it was"
    assert run(up, "complete", "--max-tokens", "1", "--receipt", str(old), "x").returncode == 0
    assert json.loads(old.read_text())
    r = subprocess.run(["/bin/sh", "-c", '"$0" complete --quiet --max-tokens 1 --receipt /dev/fd/3 x 3>&1 >/dev/null | cat', SEALWAY],
                       capture_output=True, timeout=60 * SLOW,
                       env=plain_env(SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top,
                                     SEALWAY_KNOWN_NODES=os.path.join(up.dir, "known_nodes")))
    assert json.loads(r.stdout), r.stderr  # into a pipe


def test_refusals_name_the_request(up):
    """The id that the operator finds in his log."""
    r = run(up, "complete", "--model", "no-such-model", "x")
    name = r.stderr.decode().split("[request ")[1].split("]")[0]
    assert len(name) == 32 and int(name, 16)


def test_settings_come_from_the_environment_and_flags_win(up):
    e = plain_env(HOME=up.top)
    bad = {"SEALWAY_URL": "http://127.0.0.1:1", "SEALWAY_TOKEN": "sk-sealway-x", "SEALWAY_MODEL": "nothing"}
    r = subprocess.run([SEALWAY, "complete", "--url", up.url, "--token", up.token, "--model", up.model, "--max-tokens",
                        "1", "x"], capture_output=True, env={**e, **bad}, timeout=60 * SLOW)
    assert (r.returncode, r.stdout) == (0, b"x\n"), r.stderr
    r = subprocess.run([SEALWAY, "complete", "x"], capture_output=True, env={**e, **bad}, timeout=60 * SLOW)
    assert r.returncode == 1 and b"127.0.0.1:1" in r.stderr
    r = run(up, "complete", "--max-tokens", "1", "x", env={"SEALWAY_MODEL": "nothing"})
    assert r.returncode == 1


@pytest.mark.parametrize("command", [*ASKING, "receipt", "up", "keys", "user", "token", "node", "model", "stack",
                                     "request", "peer", "usage", "status"])
def test_help(command):
    for flag in ("--help", "-h"):
        r = subprocess.run([SEALWAY, command, flag], capture_output=True, text=True, env=plain_env())
        assert r.returncode == 0 and r.stderr == "" and r.stdout.startswith(f"usage: sealway {command}")
    overview = subprocess.run([SEALWAY, "--help"], capture_output=True, text=True, env=plain_env())
    assert overview.returncode == 0 and f"\n  {command}" in overview.stdout


def test_version():
    r = subprocess.run([SEALWAY, "--version"], capture_output=True, text=True, env=plain_env())
    assert r.returncode == 0 and r.stdout.startswith("sealway ")


def test_image_to_a_file(up, tmp_path):
    out = tmp_path / "x.png"
    r = run(up, "image", "--size", "20x10", "--output", str(out), "a boat")
    assert (r.returncode, r.stdout) == (0, b"")
    assert out.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and b"0 + 200 units" in r.stderr  # by its size
    none = tmp_path / "none.png"
    r = run(up, "image", "--json", "--output", str(none), "a boat")  # that no image is written is no success
    assert (r.returncode, r.stdout, none.exists()) == (2, b"", False) and b"give one of them" in r.stderr


def test_the_images_file_is_opened_before_anything_is_paid(up, tmp_path):
    where = {"SEALWAY_DIR": up.dir}

    def requests():
        return json.loads(run(up, "top", "--json", env=where).stdout)["counts"]["requests"]
    before = requests()
    for bad in (str(tmp_path / "none" / "x.png"), str(tmp_path)):
        r = run(up, "image", "--output", bad, "a boat")
        assert r.returncode == 1 and f"cannot write {bad}".encode() in r.stderr, r.stderr
    assert requests() == before
    new, old = tmp_path / "new.png", tmp_path / "old.png"
    old.write_bytes(b"as it was" * 9999)
    for f in (new, old):
        assert run(up, "image", "--model", "no-such-model", "--output", str(f), "a boat").returncode == 1
    assert not new.exists() and old.read_bytes() == b"as it was" * 9999
    assert run(up, "image", "--size", "20x10", "--output", str(old), "a boat").returncode == 0
    assert old.read_bytes().startswith(b"\x89PNG") and b"as it was" not in old.read_bytes()
    r = run(up, "image", "--output", "/dev/full", "a boat")
    assert r.returncode == 1 and b"cannot write /dev/full: No space left" in r.stderr


# --- receipts ---

@pytest.fixture
def receipt(up, tmp_path):
    path = tmp_path / "r.json"
    r = run(up, "complete", "--stream", "--max-tokens", "3", "--receipt", str(path), "a b")
    assert r.returncode == 0 and path.stat().st_mode & 0o777 == 0o600
    return path


def verify(path, o=None, *flags):
    if o is not None:
        path.write_text(o if isinstance(o, str) else json.dumps(o))
    r = subprocess.run([SEALWAY, "receipt", "verify", str(path), *flags], capture_output=True, text=True,
                       env=plain_env(), timeout=30 * SLOW)
    assert "Sanitizer" not in r.stderr and "runtime error" not in r.stderr
    assert (r.returncode == 0) == r.stdout.startswith("good: ") and (r.returncode == 1) == bool(r.stderr)
    return r


def test_a_good_receipt(up, receipt):
    o = json.loads(receipt.read_text())
    r = verify(receipt)
    assert r.returncode == 0 and "2 + 3 units" in r.stdout and "4 objects" in r.stdout and "compare it" in r.stdout
    r = verify(receipt, None, "--node-key", o["node_signing_key"])
    assert r.returncode == 0 and "compare it" not in r.stdout
    r = subprocess.run([SEALWAY, "receipt", "verify", "-"], input=receipt.read_text(), capture_output=True, text=True,
                       env=plain_env())
    assert r.returncode == 0  # from standard input, with no network, token or home
    assert json.loads(json.dumps(o)) == o and verify(receipt, json.dumps(o, indent=7)).returncode == 0


def flip(text, at):
    raw = bytearray(unb64(text))
    raw[at] ^= 1
    return b64(bytes(raw))


def test_each_member_tampered(receipt):
    good = json.loads(receipt.read_text())
    other = b64(bytes(range(32)))
    assert set(good) == {"version", "gateway", "model", "node_small_id", "node_signing_key", "key_statement",
                         "key_signature", "receipt", "receipt_signature", "plaintext_body_hash", "response_hashes"}
    changes = {
        "version": [0, 2, "1", None], "model": ["demo2", "", "d" * 300, None],
        "node_small_id": [good["node_small_id"] + 1, -1, "1", None],
        "node_signing_key": [other, other[:-4], None], "plaintext_body_hash": [other, "", None],
        "response_hashes": [good["response_hashes"][:-1], good["response_hashes"] + [other], [], other, None,
                            good["response_hashes"][1:] + good["response_hashes"][:1],
                            [other] + good["response_hashes"][1:]],
    }
    for name in ("key_statement", "key_signature", "receipt", "receipt_signature"):
        n = len(unb64(good[name]))
        changes[name] = [flip(good[name], at) for at in range(0, n, 7)] + [good[name][:-4], "", None, 5]
    for name, values in changes.items():
        for value in values:
            r = verify(receipt, {**good, name: value})
            assert r.returncode == 1, (name, value)
        assert verify(receipt, {k: v for k, v in good.items() if k != name}).returncode == 1, name
    for text in ("", "{}", "[]", "null", json.dumps(good)[:-1], json.dumps(good) + "x",
                 json.dumps(good)[:-1] + ', "model": "demo"}'):
        assert verify(receipt, text).returncode == 1, text[-40:]
    for key in (other, "x", ""):
        assert verify(receipt, good, "--node-key", key).returncode == 1, key
    assert verify(receipt, good).returncode == 0


FIELDS = {"version": (0, 1), "outcome": (1, 1), "endpoint": (2, 1), "request id": (3, 16), "stack": (19, 8),
          "node key": (27, 32), "plain hash": (59, 32), "model": (91, 32), "transcript": (123, 32), "chunks": (155, 4),
          "prompt": (159, 8), "completion": (167, 8), "when": (175, 8)}


class Notary:
    """Somebody with a signing key of his own who knows how receipts are made."""

    def __init__(self, good):
        self.good, self.key = good, Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(*RAW)

    def sign(self, label, data):
        return b64(b"\0" + self.key.sign(H(label + data)) + self.public)

    def file(self, receipt=None, statement=None, **change):
        receipt = receipt or unb64(self.good["receipt"])
        statement = statement or unb64(self.good["key_statement"])
        return {**self.good, "node_signing_key": b64(self.public), "key_statement": b64(statement),
                "key_signature": self.sign(b"sealway-key-v1", statement), "receipt": b64(receipt),
                "receipt_signature": self.sign(b"sealway-receipt-v1", receipt), **change}


def test_each_field_of_a_receipt_changed_and_signed_again(receipt):
    """Beyond the signature: what the receipt says has to fit the rest, byte by byte."""
    good = json.loads(receipt.read_text())
    notary = Notary(good)
    assert verify(receipt, notary.file()).returncode == 0
    assert verify(receipt, notary.file(), "--node-key", good["node_signing_key"]).returncode == 1
    raw = unb64(good["receipt"])
    told = {"outcome", "request id", "stack", "prompt", "completion"}  # nothing in the file says otherwise
    for name, (at, size) in FIELDS.items():
        for byte in (at, at + size - 1):
            changed = bytearray(raw)
            changed[byte] ^= 1 if name != "when" or byte == at else 0
            changed[byte] ^= 0x80 if name == "endpoint" else 0
            if bytes(changed) == raw:
                continue
            r = verify(receipt, notary.file(bytes(changed)))
            big = name in ("stack", "prompt", "completion") and byte == at  # over 2^53 - 1
            assert r.returncode == (0 if name in told and not big else 1), (name, byte, r.stdout, r.stderr)
    before = raw[:175] + struct.pack(">Q", int(time.time()) - 10**6)
    assert verify(receipt, notary.file(before)).returncode == 1  # older than the key
    after = raw[:175] + struct.pack(">Q", int(time.time()) + 10**7)
    assert verify(receipt, notary.file(after)).returncode == 1  # long after it


def test_a_receipt_of_somebody_cannot_write_on_the_terminal(receipt):
    """Whoever makes the file chooses the model's name: it may not look like lines of ours, or move the cursor."""
    notary = Notary(json.loads(receipt.read_text()))
    name = "demo, complete\nnode 1, signing key x\x1b[2K\x1b]0;t\x07\x9b1m"
    raw = unb64(notary.good["receipt"])
    r = verify(receipt, notary.file(raw[:91] + H(name.encode()) + raw[123:], model=name))
    assert r.returncode == 0 and len(r.stdout.splitlines()) == 3 and "\x1b" not in r.stdout and "\x9b" not in r.stdout
    assert r.stdout.startswith("good: completion by model demo, complete?node 1, signing key x?[2K?]0;t?")


def test_each_field_of_a_statement_changed_and_signed_again(receipt):
    good = json.loads(receipt.read_text())
    notary = Notary(good)
    raw = unb64(good["key_statement"])
    when = struct.unpack(">Q", unb64(good["receipt"])[175:])[0]
    version, node, key, counter, since, until = struct.unpack(">BQ32sQQQ", raw)
    cases = [(2, node, key, counter, since, until), (0, node, key, counter, since, until),
             (1, node + 1, key, counter, since, until), (1, node, bytes(32), counter, since, until),
             (1, node, key, counter, when + 9000, until + 9000), (1, node, key, counter, 1, 2),
             (1, node, key, counter, until, since)]
    for case in cases:
        assert verify(receipt, notary.file(statement=struct.pack(">BQ32sQQQ", *case))).returncode == 1, case
    for length in (0, 64, 66):
        assert verify(receipt, notary.file(statement=(raw + b"\0")[:length] or b"\0")).returncode == 1
    honest = struct.pack(">BQ32sQQQ", 1, node, key, counter + 1, since, until)
    assert verify(receipt, notary.file(statement=honest)).returncode == 0


def test_a_receipt_of_each_kind(up, tmp_path):
    path = tmp_path / "r.json"
    for command, word in (("complete", "completion"), ("chat", "chat"), ("embed", "embeddings"), ("image", "image")):
        assert run(up, command, "--receipt", str(path), "a b").returncode == 0
        r = verify(path)
        assert r.returncode == 0 and r.stdout.startswith(f"good: {word} by model demo, complete"), r.stdout


def test_a_failed_request_leaves_no_receipt(up, tmp_path):
    path = tmp_path / "r.json"
    assert run(up, "complete", "--model", "nothing", "--receipt", str(path), "x").returncode == 1
    assert not path.exists()


# --- pins ---

def test_pins_in_the_home_and_a_changed_key(up, tmp_path):
    env = {"HOME": str(tmp_path), "SEALWAY_KNOWN_NODES": ""}
    r = run(up, "complete", "--max-tokens", "1", "x", env=env)
    assert r.returncode == 0 and b"now pinned" in r.stderr
    pins = tmp_path / ".config" / "sealway" / "known_nodes"
    assert pins.stat().st_mode & 0o077 == 0
    text = pins.read_text()
    key = text.split()[-1]
    assert base64.b64decode(key) and up.url in text
    assert b"pinned" not in run(up, "complete", "--max-tokens", "1", "x", env=env).stderr
    pins.write_text(text.replace(key, flip(key, 5)))
    for _ in range(2):
        r = run(up, "complete", "x", env=env)
        assert (r.returncode, r.stdout) == (1, b"") and b"not the one pinned" in r.stderr
        assert str(pins).encode() in r.stderr
    assert pins.read_text() == text.replace(key, flip(key, 5))  # never put right by itself
    for rubbish in ("rubbish\n", f"{up.url} 1\n", f"{up.url} one {key}\n", f"{up.url} 1 {key[:-1]}\n"):
        pins.write_text(rubbish)
        r = run(up, "complete", "x", env=env)
        assert (r.returncode, r.stdout) == (1, b"") and b"line 1" in r.stderr, rubbish
        assert pins.read_text() == rubbish
    r = run(up, "complete", "--max-tokens", "1", "--node-key", key, "x", env=env)  # does not need the file
    assert (r.returncode, r.stdout) == (0, b"x\n"), r.stderr
    xdg = tmp_path / "xdg"
    assert run(up, "complete", "--max-tokens", "1", "x", env={**env, "XDG_CONFIG_HOME": str(xdg)}).returncode == 0
    assert (xdg / "sealway" / "known_nodes").exists()


def test_pins_by_many_at_once(up, tmp_path):
    pins = tmp_path / "pins"
    e = plain_env(SEALWAY_URL=up.url, SEALWAY_TOKEN=up.token, HOME=up.top, SEALWAY_KNOWN_NODES=str(pins))
    ps = [subprocess.Popen([SEALWAY, "complete", "--max-tokens", "1", "x"], env=e, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE) for _ in range(8)]
    for p in ps:
        out, err = p.communicate(timeout=60 * SLOW)
        assert (p.returncode, out) == (0, b"x\n"), err
    lines = [x for x in pins.read_text().splitlines() if not x.startswith("#")]
    assert len(lines) == 1 and os.listdir(tmp_path) == ["pins"]


# --- operator ---

def test_operators_find_no_broker(tmp_path):
    for args in (["status"], ["user", "list"], ["node", "list"]):
        r = subprocess.run([SEALWAY, *args, "--dir", str(tmp_path / "none")], capture_output=True, text=True,
                           env=plain_env())
        assert r.returncode == 1 and "no data directory" in r.stderr
    r = subprocess.run([SEALWAY, "status", "--dir", str(tmp_path)], capture_output=True, text=True, env=plain_env(),
                       timeout=30 * SLOW)
    assert r.returncode == 1 and "no broker answers" in r.stderr


def test_a_node_of_the_original_network_moves(up):
    key = b64(Ed25519PrivateKey.generate().public_key().public_bytes(*RAW))
    where = ["--dir", up.dir]
    r = run(up, "node", "admit", key, "--id", "4711", "--url", "http://127.0.0.1:9", "--node-key", b64(os.urandom(31) + b"\1"),
            "--model", "old", "--price", "5", *where)
    assert r.returncode == 0, r.stderr
    r = run(up, "node", "admit", key, "--url", "http://127.0.0.1:9", "--node-key", b64(os.urandom(31) + b"\1"),
            "--model", "older", "--price", "6", *where)  # again: one more model
    assert r.returncode == 0, r.stderr
    models = json.loads(run(up, "node", "show", "4711", "--json", *where).stdout)["models"]
    assert sorted((m["name"], m["price"]) for m in models) == [("old", 5), ("older", 6)]
    r = run(up, "node", "admit", "--readdress", "--id", "4711", "--url", "http://127.0.0.1:10", *where)
    assert r.returncode == 0 and b"http://127.0.0.1:10" in r.stdout, r.stderr
    r = run(up, "node", "admit", "--readdress", "--id", "4711", "--url", "gopher://x", *where)
    assert r.returncode == 1 and r.stderr
    r = run(up, "node", "admit", "--readdress", "--id", "4712", "--url", "http://127.0.0.1:10", *where)
    assert r.returncode == 1 and b"no such node" in r.stderr.lower()
    nodes = json.loads(run(up, "node", "list", "--json", *where).stdout)["nodes"]
    assert [n["address"] for n in nodes if n["node"] == 4711] == ["http://127.0.0.1:10"]
    assert run(up, "node", "remove", "4711", *where).returncode == 0
