# SPDX-License-Identifier: Apache-2.0
"""A client of the protocol that shares no code with sealway: lock, seal, post, open, check.

Written from docs/PROTOCOL.md with python3-cryptography.  It is deliberately plain: the base form
of the envelope, as any third party would send it.
"""
import base64
import hashlib
import http.client
import json
import os
import struct
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
ENDPOINTS = {"completions": 1, "chat/completions": 2, "embeddings": 3, "images/generations": 4}


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text, size=None):
    data = base64.b64decode(text, validate=True)
    assert b64(data) == text, "base64 is not canonical"
    assert size is None or len(data) == size, f"{len(data)} bytes where {size} belong"
    return data


def H(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def check_signature(text, digest, key):
    raw = unb64(text, 97)
    assert raw[0] == 0 and raw[65:] == key, "signed by another key"
    Ed25519PublicKey.from_public_bytes(key).verify(raw[1:65], digest)


class Refused(Exception):
    """A status that is not 200, with its error object."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        try:
            self.error = json.loads(body)["error"]
        except (ValueError, KeyError, TypeError):
            self.error = None
        super().__init__(f"{status}: {body[:300]}")


class Cut(Exception):
    """The response ended without a clean end; .events holds what came."""

    def __init__(self, events):
        self.events = events
        super().__init__(f"cut after {len(events)} events")


class Envelope:
    """One sealed request: its keys, so that the answer can be opened, and its body."""

    def __init__(self, lock, plain, model, stream=None, units=None, **extra):
        self.private = X25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(*RAW)
        self.salt, self.nonce = os.urandom(16), os.urandom(11) + b"\x02"
        self.lock, self.model = lock, model
        self.plain = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
        node = unb64(lock["public_key"], 32)
        shared = self.private.exchange(X25519PublicKey.from_public_bytes(node))
        self.key = HKDF(hashes.SHA256(), 32, self.salt, b"").derive(shared)
        self.hash = H(self.plain)
        self.body = {
            "ciphertext": b64(AESGCM(self.key).encrypt(self.nonce, self.plain, None)),
            "nonce": b64(self.nonce), "salt": b64(self.salt), "client_dh_public_key": b64(self.public),
            "node_dh_public_key": lock["public_key"], "plaintext_body_hash": b64(self.hash),
            "model_name": model, "stack_small_id": lock["stack_small_id"],
        }
        if stream is not None:
            self.body["stream"] = stream
        if units is not None:
            self.body["num_compute_units"] = units
        self.body.update(extra)

    def open(self, objects, endpoint):
        """Opens and checks every object of an answer; returns the plaintext objects."""
        key = unb64(self.lock["node_signing_key"], 32)
        plain, hashes_seen, prefix = [], b"", None
        for i, o in enumerate(objects):
            last = i == len(objects) - 1
            allowed = {"ciphertext", "nonce", "response_hash", "signature"} | (
                {"usage", "receipt", "receipt_signature"} if last else set())
            assert set(o) == allowed, f"members {sorted(o)}"
            nonce = unb64(o["nonce"], 12)
            prefix = prefix or nonce[:7]
            assert nonce == prefix + struct.pack(">IB", i, last), "nonce out of order"
            text = AESGCM(self.key).decrypt(nonce, unb64(o["ciphertext"]), None)
            assert len(text) % 128 == 0, "not padded"
            assert H(text) == unb64(o["response_hash"], 32), "response_hash"
            check_signature(o["signature"], H(text), key)
            hashes_seen += H(text)
            plain.append(json.loads(text))
        assert len({p["id"] for p in plain}) <= 1 if all("id" in p for p in plain) else True
        self.check_receipt(objects[-1], endpoint, H(hashes_seen), len(objects), key)
        return plain

    def check_receipt(self, o, endpoint, transcript, chunks, key):
        r = unb64(o["receipt"], 183)
        check_signature(o["receipt_signature"], H(b"sealway-receipt-v1" + r), key)
        self.receipt = r
        assert r[0] == 1 and r[2] == ENDPOINTS[endpoint]
        self.outcome = r[1]
        assert struct.unpack(">Q", r[19:27])[0] == self.lock["stack_small_id"]
        assert r[27:59] == unb64(self.lock["public_key"]) and r[59:91] == self.hash
        assert r[91:123] == H(self.model.encode()) and r[123:155] == transcript
        assert struct.unpack(">I", r[155:159])[0] == chunks
        self.prompt, self.completion, self.when = struct.unpack(">QQQ", r[159:183])
        u = o["usage"]
        assert (u["prompt_tokens"], u["completion_tokens"]) == (self.prompt, self.completion)
        assert u["total_tokens"] == self.prompt + self.completion
        assert set(u["completion_tokens_details"]) == {"accepted_prediction_tokens", "audio_tokens",
                                                       "reasoning_tokens", "rejected_prediction_tokens"}
        assert set(u["prompt_tokens_details"]) == {"audio_tokens", "cached_tokens"}


class Client:
    def __init__(self, url, token, model="demo", timeout=30):
        self.url = urllib.parse.urlsplit(url)
        self.token, self.model, self.timeout = token, model, timeout

    def connect(self):
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=self.timeout)

    def request(self, method, path, body=None, headers=None, auth=True):
        """(status, headers with lower-case names, body bytes) of one request on its own connection."""
        h = {"Authorization": f"Bearer {self.token}"} if auth else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and "content-type" not in {k.lower() for k in headers or {}}:
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        c = self.connect()
        try:
            c.request(method, path, body, {k: v for k, v in h.items() if v is not None})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def json(self, method, path, body=None, **kw):
        status, headers, data = self.request(method, path, body, **kw)
        if status != 200:
            raise Refused(status, headers, data)
        return json.loads(data)

    def lock(self, units=None, timeout=None, model=None):
        ask = {"model": model or self.model, "max_num_tokens": units, "timeout": timeout}
        answer = self.json("POST", "/v1/nodes/lock", ask)
        self.check_lock(answer)
        return answer

    @staticmethod
    def check_lock(a):
        key = unb64(a["node_signing_key"], 32)
        s = unb64(a["key_statement"], 65)
        check_signature(a["key_signature"], H(b"sealway-key-v1" + s), key)
        version, node = s[0], struct.unpack(">Q", s[1:9])[0]
        assert version == 1 and node == a["node_small_id"] and s[9:41] == unb64(a["public_key"], 32)
        assert 0 <= a["stack_small_id"] < 2**53 and "stack_entry_digest" in a

    def seal(self, plain, stream=None, units=None, lock=None, model=None, **extra):
        return Envelope(lock or self.lock(units), plain, model or self.model, stream, units, **extra)

    def post(self, endpoint, envelope, headers=None):
        """A whole answer, opened."""
        path = "/v1/confidential/" + endpoint
        return envelope.open([self.json("POST", path, envelope.body, headers=headers)], endpoint)[0]

    def post_stream(self, endpoint, envelope, on_event=None):
        """A streamed answer, opened; raises Refused or Cut."""
        events = self.stream_raw("/v1/confidential/" + endpoint, envelope.body, on_event)
        bad = [e for e in events if e[0] != "message"]
        assert not bad, bad
        return envelope.open([json.loads(d) for _, d in events], endpoint)

    def stream_raw(self, path, body, on_event=None, headers=None):
        """[(event type, data)] of an SSE answer; Cut when it has no clean end."""
        c = self.connect()
        h = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        try:
            c.request("POST", path, json.dumps(body).encode(), h)
            r = c.getresponse()
            if r.status != 200:
                raise Refused(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
            assert r.getheader("Content-Type").startswith("text/event-stream")
            return self.read_events(r, on_event)
        finally:
            c.close()

    @staticmethod
    def read_events(r, on_event):
        events, kind, data, buffer = [], "message", [], b""
        try:
            while True:
                while b"\n" not in buffer:
                    got = r.read1(65536)  # readline() would take a cut for an end
                    if not got:
                        break
                    buffer += got
                if not buffer:
                    break
                line, _, buffer = buffer.partition(b"\n")
                line = line.decode()
                if not line:
                    if data:
                        events.append((kind, "\n".join(data)))
                        if on_event:
                            on_event(*events[-1])
                    kind, data = "message", []
                elif line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif line.startswith("event:"):
                    kind = line[6:].strip()
                else:
                    assert line.startswith(":"), line
        except (http.client.IncompleteRead, ConnectionError):
            raise Cut(events) from None
        if data:
            raise Cut(events)
        return events


def text_of(objects):
    """The text of opened completion or chat objects, streamed or whole."""
    out = ""
    for o in objects:
        for c in o["choices"]:
            out += c.get("text") or (c.get("delta") or c.get("message") or {}).get("content") or ""
    return out
