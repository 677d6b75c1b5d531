# SPDX-License-Identifier: Apache-2.0
"""A node written from docs/PROTOCOL.md in Python, which answers exactly as a test's script says.

A script is a function script(request): it gets the opened request and writes whatever bytes it
likes.  The helpers make what an honest node would send; a test bends one thing at a time.
"""
import configparser
import glob
import json
import os
import re
import socket
import struct
import threading
import time
import traceback

import msgpack
import zmq
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealclient import ENDPOINTS, RAW, Client, H, b64, unb64

DETAILS = {"completion_tokens_details": {"accepted_prediction_tokens": 0, "audio_tokens": 0, "reasoning_tokens": 0,
                                         "rejected_prediction_tokens": 0},
           "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0}}


def setting(up, process, name):
    """A setting out of the file that `sealway up` wrote for a process."""
    for path in sorted(glob.glob(os.path.join(up.dir, "**", f"{process}*.ini"), recursive=True)):
        c = configparser.ConfigParser(interpolation=None)
        c.read_string("[top]\n" + open(path).read())
        for section in c.sections():
            if c.has_option(section, name):
                return c.get(section, name)
    raise AssertionError(f"no {name} in a file of {process} under {up.dir}")


def admin(up, verb, **args):
    """One operator's command over the broker's admin socket."""
    ctx = zmq.Context.instance()
    s = ctx.socket(zmq.DEALER)
    s.linger = 0
    where = getattr(up, "admin_socket", None) or setting(up, "broker", "admin").removeprefix("ipc://")
    s.connect("ipc://" + os.path.join(up.dir, where))  # relative to the directory of the system
    try:
        s.send(msgpack.packb([2, 26, os.urandom(16), verb, json.dumps(args)]))
        assert s.poll(10000), f"no answer to {verb}"
        version, kind, _, error, body = msgpack.unpackb(s.recv())
        assert (version, kind) == (2, 27)
        body = json.loads(body)
        assert error == 0, f"{verb}: {error} {body}"
        return body
    finally:
        s.close()


class Request:
    """One request as the node got it, opened; and the means to answer."""

    def __init__(self, node, sock, method, path, headers, body):
        self.node, self.sock, self.method, self.path, self.headers, self.body = node, sock, method, path, headers, body
        self.rid = headers.get("x-request-id", "")
        self.prefix, self.count, self.seen = os.urandom(7), 0, b""
        self.id = "cmpl-" + os.urandom(16).hex()
        self.chunked = False
        self.sealed = path.startswith("/v1/confidential/")

    def check_auth(self):
        text, _, signature = self.headers["x-sealway-auth"].partition(".")
        auth = unb64(text, 81)
        raw = unb64(signature, 97)
        assert raw[65:] == self.node.proxy_auth
        Ed25519PublicKey.from_public_bytes(raw[65:]).verify(raw[1:65], H(b"sealway-auth-v1" + auth))
        assert auth[0] == 1 and auth[1:17].hex() == self.rid and auth[41:73] == H(self.body)
        node, self.stack, self.units = struct.unpack(">QQQ", auth[17:41])
        assert node == self.node.id and struct.unpack(">Q", auth[73:])[0] >= time.time()

    def open(self):
        e = self.envelope = json.loads(self.body)
        shared = self.node.x_key.exchange(X25519PublicKey.from_public_bytes(unb64(e["client_dh_public_key"], 32)))
        self.key = HKDF(hashes.SHA256(), 32, unb64(e["salt"], 16), b"").derive(shared)
        plain = AESGCM(self.key).decrypt(unb64(e["nonce"], 12), unb64(e["ciphertext"]), None)
        assert H(plain) == unb64(e["plaintext_body_hash"], 32)
        self.plain = json.loads(plain)
        raw = unb64(self.headers["x-signature"], 97)
        Ed25519PublicKey.from_public_bytes(raw[65:]).verify(raw[1:65], H(plain))

    def open_plain(self):
        self.plain = self.envelope = json.loads(self.body)
        assert not re.search(rb"\s", re.sub(rb'"([^"\\]|\\.)*"', b"", self.body)), "the body is not compact"
        raw = unb64(self.headers["x-signature"], 97)
        Ed25519PublicKey.from_public_bytes(raw[65:]).verify(raw[1:65], H(self.body))

    # --- what an honest node would send, piece by piece ---
    def plain_object(self, o, usage=None, signer=None, outcome=0, receipt=None, bare=False, **change):
        """The text of an object as a node signs and sends it; usage (with a receipt behind it) on the last one."""
        signer = signer or self.node
        if usage is not None and "images" not in self.path:
            o = o | {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}}
        text = json.dumps(o, separators=(",", ":"), ensure_ascii=False)
        digest = H(text.encode())
        self.seen += digest
        self.count += 1
        added = {"response_hash": b64(digest), "signature": signer.sign(digest)}
        if usage is not None and not self.node.original and not bare:
            r = self.receipt_bytes(outcome, usage, **(receipt or {}))
            added |= {"receipt": b64(r), "receipt_signature": signer.sign(H(b"sealway-receipt-v1" + r))}
        added.update(change)
        added = {k: v for k, v in added.items() if v is not Ellipsis}
        return text[:-1] + "".join("," + json.dumps(k) + ":" + json.dumps(v) for k, v in added.items()) + "}"

    def piece(self, text=None, finish=None, **delta):
        """One object of a stream, before it is signed."""
        base = {"id": self.id, "created": int(time.time()), "model": self.node.model}
        if "chat" in self.path:
            delta = delta | ({} if text is None else {"content": text})
            return base | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        return base | {"object": "text_completion", "choices": [{"index": 0, "text": text or "", "finish_reason": finish}]}

    def usage_piece(self):
        return self.piece() | {"choices": []}

    def plain_text(self, o):
        self.data("data: " + o + "\n\n")

    def done(self):
        self.data("data: [DONE]\n\n")
        self.end()

    def words(self):
        p = self.plain
        return (p["messages"][-1]["content"] if "messages" in p else p.get("prompt", p.get("input"))).split()

    def plain_honest(self):
        words = self.words()
        n = len(words)
        if self.plain.get("stream"):
            assert self.plain["stream_options"]["include_usage"] is True
            self.head()
            for i, w in enumerate(words):
                self.plain_text(self.plain_object(self.piece((" " if i else "") + w)))
            self.plain_text(self.plain_object(self.piece(finish="stop")))
            self.plain_text(self.plain_object(self.usage_piece(), usage=(n, n)))
            return self.done()
        kind = self.path.removeprefix("/v1/")
        if kind == "embeddings":
            o = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
                 "model": self.node.model}
            return self.whole(200, self.plain_object(o, (n, 0)).encode())
        if kind == "images/generations":
            o = {"created": int(time.time()), "data": [{"url": "data:image/png;base64,AAAA"}]}
            return self.whole(200, self.plain_object(o, (0, self.units)).encode())
        o = self.piece(" ".join(words), "stop")
        if kind == "chat/completions":
            o |= {"object": "chat.completion", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": " ".join(words)}, "finish_reason": "stop"}]}
        return self.whole(200, self.plain_object(o, (n, n)).encode())

    # --- the same, sealed ---
    def object(self, text, final=False, finish=None, signer=None, usage=(2, 3), outcome=0, receipt=None, **change):
        plain = {"id": self.id, "object": "text_completion", "created": int(time.time()), "model": self.node.model,
                 "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": None}]}
        data = json.dumps(plain).encode()
        data += b" " * (-len(data) % 128)
        nonce = self.prefix + struct.pack(">IB", self.count, final)
        self.count += 1
        self.seen += H(data)
        o = {"ciphertext": b64(AESGCM(self.key).encrypt(nonce, data, None)), "nonce": b64(nonce),
             "response_hash": b64(H(data)), "signature": (signer or self.node).sign(H(data))}
        if final:
            o["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage), **DETAILS}
            r = self.receipt_bytes(outcome, usage, **(receipt or {}))
            o["receipt"], o["receipt_signature"] = b64(r), (signer or self.node).sign(H(b"sealway-receipt-v1" + r))
        o.update(change)
        return {k: v for k, v in o.items() if v is not Ellipsis}

    def receipt_bytes(self, outcome, usage, /, **change):
        f = dict(version=1, outcome=outcome, endpoint=ENDPOINTS[self.path.removeprefix("/v1/").removeprefix("confidential/")],
                 rid=bytes.fromhex(self.rid), stack=self.stack, key=self.node.x_public if self.sealed else bytes(32),
                 plain_hash=unb64(self.envelope["plaintext_body_hash"]) if self.sealed else H(self.body),
                 model=H(self.envelope["model_name" if self.sealed else "model"].encode()),
                 transcript=H(self.seen), chunks=self.count, prompt=usage[0], completion=usage[1], when=int(time.time()))
        f.update(change)
        return struct.pack(">BBB16sQ32s32s32s32sIQQQ", *f.values())

    # --- bytes on the wire ---
    def send(self, data):
        self.sock.sendall(data)

    def head(self, status=200, content_type="text/event-stream", length=None, extra=()):
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", *extra]
        self.chunked = length is None
        lines.append("Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {length}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def data(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    def event(self, o):
        self.data("data: " + json.dumps(o, separators=(",", ":")) + "\n\n")

    def end(self):
        if self.chunked:
            self.send(b"0\r\n\r\n")

    def whole(self, status, body, content_type="application/json", extra=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, content_type, len(body), extra)
        self.send(body)

    def honest(self):
        """The whole of an honest answer."""
        if not self.sealed:
            return self.plain_honest()
        words = self.plain["prompt"].split()
        if not self.envelope.get("stream"):
            return self.whole(200, self.object(" ".join(words), True, "stop", usage=(len(words), len(words))))
        self.head()
        for i, w in enumerate(words):
            self.event(self.object((" " if i else "") + w))
        self.event(self.object("", True, "stop", usage=(len(words), len(words))))
        self.end()


class ScriptedNode:
    """Registers with a running system and serves a model of its own by script."""

    def __init__(self, up, node_id=77, model="scripted", original=False, price=1000):
        self.up, self.id, self.model, self.original, self.price = up, node_id, model, original, price
        self.sign_key, self.x_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.public = self.sign_key.public_key().public_bytes(*RAW)
        self.x_public = self.x_key.public_key().public_bytes(*RAW)
        self.script = Request.honest
        self.receipts, self.requests, self.stops, self.errors = {}, [], [], []
        self.on_stop = None
        self.raw = False  # requests are not opened: for clients that seal nothing sensible
        auth = glob.glob(os.path.join(up.dir, "**", "proxy-auth.pub"), recursive=True)
        self.proxy_auth = unb64(open(auth[0]).read().strip(), 32)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.closing = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        self.counter = 0
        if original:
            admin(up, "node.admit", signing_key=b64(self.public), node=self.id, url=self.address,
                  node_key=b64(self.x_public), models=[{"name": model, "price": price}])
        else:
            admin(up, "node.admit", signing_key=b64(self.public), node=self.id)
            assert self.register() == 200

    def sign(self, digest, key=None):
        return b64(b"\x00" + (key or self.sign_key).sign(digest) + self.public)

    def registration(self, **change):
        self.counter += 1
        now = int(time.time())
        statement = struct.pack(">BQ32sQQQ", 1, self.id, self.x_public, self.counter, now - 60, now + 3600)
        m = {"node": self.id, "address": self.address, "counter": self.counter, "statement": statement,
             "statement_signature": self.sign(H(b"sealway-key-v1" + statement)),
             "models": [[self.model, self.price, 1000, 1 << 20, 8192]], "validity_s": 3600, "version": "scripted",
             "evidence_hash": H(b"")}
        m.update(change)
        return msgpack.packb(m)

    def register(self, registration=None, **change):
        """The status of the answer to a full registration."""
        packed = registration or self.registration()
        data = {"node_small_id": self.id, "public_address": self.address, "country": "DE"}
        compact = json.dumps(data, separators=(",", ":")).encode()
        body = {"data": data, "signature": self.sign(H(compact)), "registration": b64(packed),
                "registration_signature": self.sign(H(b"sealway-register-v1" + packed))}
        body.update(change)
        return Client(self.up.url, "").request("POST", "/v1/nodes", body, auth=False)[0]

    # --- the server ---
    def serve(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connection, args=(sock,), daemon=True).start()

    def connection(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        f = sock.makefile("rb")
        try:
            while True:
                line = f.readline()
                if not line:
                    return
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (h := f.readline().strip()):
                    k, _, v = h.decode().partition(":")
                    headers[k.strip().lower()] = v.strip()
                body = f.read(int(headers.get("content-length", 0)))
                r = Request(self, sock, method, path, headers, body)
                if self.handle(r) is False:
                    return
        except (ConnectionError, OSError):
            pass
        except Exception as e:  # noqa: BLE001 - shown by the test
            self.errors.append(repr(e))
            traceback.print_exc()
        finally:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def handle(self, r):
        if r.path == "/health":
            return r.whole(200, {"message": "ok"})
        r.check_auth()
        if r.path == "/v1/stop-streamer":
            self.stops.append(r.rid)
            if self.on_stop:
                self.on_stop(r.rid)
            return r.whole(200, {})
        if r.path.startswith("/v1/receipts/"):
            found = self.receipts.get(r.path.rsplit("/", 1)[1])
            return r.whole(200, found) if found else r.whole(404, {"error": {"code": "NOT_FOUND"}})
        if not self.raw:
            r.open() if r.sealed else r.open_plain()
        self.requests.append(r)
        return self.script(r)

    def close(self):
        self.closing = True
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
