# SPDX-License-Identifier: Apache-2.0
"""HTTPS at the gateway: both protocols by ALPN, what is refused, and certificates that do not fit."""
import errno
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
import warnings

import h2.config
import h2.connection
import h2.events
import pytest
from cluster import SLOW, binary, run_quiet, wait_for
from parts import Parts, plain_env
from sealclient import Client, text_of


class SecureClient(Client):
    def __init__(self, url, token, ca, **kw):
        super().__init__(url, token, **kw)
        self.context = ssl.create_default_context(cafile=ca)

    def connect(self):
        return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=self.timeout,
                                           context=self.context)


def certificate(folder, name, *subject_alt, kind=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + "-key.pem")
    run_quiet("openssl", "req", "-x509", *kind, "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj",
              f"/CN={name}", "-addext", "subjectAltName=" + ",".join(subject_alt))
    return cert, key


@pytest.fixture(scope="module")
def secure():
    """Four processes; the gateway has a certificate for 127.0.0.1 and for nothing else."""
    with Parts() as p:
        p.cert, p.key = certificate(p.dir, "gateway", "IP:127.0.0.1")
        p.start("broker")
        p.start("worker")
        p.start("gateway", "--tls-cert", p.cert, "--tls-key", p.key)
        p.start("node", "--gateway", f"https://127.0.0.1:{p.gateway_port}", "--gateway-ca", p.cert)
        p.operate()
        p.ready()
        p.https = f"https://127.0.0.1:{p.gateway_port}"
        yield p


def handshake(p, ca=None, **change):
    """A TLS connection to the gateway as `change` sets the context; the socket."""
    context = ssl.create_default_context(cafile=ca or p.cert)
    for name, value in change.items():
        getattr(context, name)(value) if callable(getattr(context, name)) else setattr(context, name, value)
    s = socket.create_connection(("127.0.0.1", p.gateway_port), timeout=10 * SLOW)
    try:
        return context.wrap_socket(s, server_hostname="127.0.0.1")
    except BaseException:
        s.close()
        raise


def test_whole_and_streamed(secure):
    c = SecureClient(secure.https, secure.token, secure.cert)
    for stream in (False, True):
        e = c.seal({"model": c.model, "prompt": "x y", "max_tokens": 3, "stream": stream}, stream=stream)
        assert text_of(c.post_stream("completions", e) if stream else [c.post("completions", e)]) == "x y x"


@pytest.mark.parametrize("form, version", [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_negotiates(secure, form, version):
    r = subprocess.run(["curl", "-sS", form, "--cacert", secure.cert, "-w", "\n%{http_version} %{http_code}",
                        secure.https + "/health"], capture_output=True, text=True, timeout=30 * SLOW)
    assert (r.returncode, r.stderr) == (0, "")
    body, _, tail = r.stdout.rpartition("\n")
    assert tail == f"{version} 200" and json.loads(body) == {"message": "ok"}


@pytest.mark.parametrize("form", ["--http1.1", "--http2"])
def test_curl_streams(secure, form):
    c = SecureClient(secure.https, secure.token, secure.cert)
    e = c.seal({"model": c.model, "prompt": "p q", "max_tokens": 4, "stream": True}, stream=True)
    r = subprocess.run(["curl", "-sSN", form, "--cacert", secure.cert, "-H", "Content-Type: application/json", "-H",
                        f"Authorization: Bearer {secure.token}", "--data-binary", "@-", "-D", "/dev/stderr",
                        secure.https + "/v1/confidential/completions"], input=json.dumps(e.body), text=True,
                       capture_output=True, timeout=30 * SLOW)
    assert r.returncode == 0 and "content-type: text/event-stream" in r.stderr.lower(), r.stderr
    objects = [json.loads(x[6:]) for x in r.stdout.splitlines() if x.startswith("data: ")]
    assert text_of(e.open(objects, "completions")) == "p q p q"


@pytest.mark.parametrize("offered, chosen", [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"),
                                             (["http/1.1", "h2"], "h2"), (["h2-14", "http/1.1"], "http/1.1"),
                                             (["http/1.0"], "http/1.0"), ([], None)])
def test_alpn(secure, offered, chosen):
    with handshake(secure, **({"set_alpn_protocols": offered} if offered else {})) as s:
        assert s.selected_alpn_protocol() == chosen and s.version() in ("TLSv1.2", "TLSv1.3")
        if chosen == "h2":
            c = h2.connection.H2Connection(config=h2.config.H2Configuration(header_encoding="utf-8"))
            c.initiate_connection()
            c.send_headers(1, [(":method", "GET"), (":path", "/health"), (":scheme", "https"),
                               (":authority", "127.0.0.1")], end_stream=True)
            s.sendall(c.data_to_send())
            status = None
            while status is None:
                for e in c.receive_data(s.recv(65536)):
                    if isinstance(e, h2.events.ResponseReceived):
                        status = dict(e.headers)[":status"]
            assert status == "200"
        else:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("offered", ["smtp", "h2-14"])
def test_alpn_of_none_of_ours(secure, offered):
    """RFC 7301: no connection, in place of answers of another protocol."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(secure, set_alpn_protocols=[offered])


def test_versions(secure):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with handshake(secure, minimum_version=version, maximum_version=version) as s:
            assert s.version() == version.name.replace("_", ".")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")  # our side would speak it
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", secure.gateway_port), timeout=10 * SLOW) as s:
            if version == ssl.TLSVersion.TLSv1_2:  # the same client gets in with a newer version
                context.wrap_socket(s).close()
                continue
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(s)


def test_another_authority_is_not_trusted(secure, tmp_path):
    other, _ = certificate(str(tmp_path), "other", "IP:127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(secure, ca=other)


@pytest.mark.parametrize("data", [
    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"\x16\x03\x01\xff\xff" + bytes(70000),
    bytes(300),
    b"",
], ids=["http1", "http2", "short record", "long record", "zeros", "nothing"])
def test_what_is_no_tls_fails_cleanly(secure, data):
    """The connection ends without an answer in the clear, and the next one is served."""
    with socket.create_connection(("127.0.0.1", secure.gateway_port), timeout=15 * SLOW) as s:
        got = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while (more := s.recv(65536)):
                got += more
        except OSError as e:
            assert e.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN), e
    assert b"HTTP" not in got and b"message" not in got and len(got) < 64  # a TLS alert at most
    assert secure.gateway.p.poll() is None
    with handshake(secure) as s:
        s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert b" 200 " in s.recv(65536)


def test_a_connection_cut_in_the_handshake(secure):
    for n in (1, 5, 100):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        o = ssl.create_default_context(cafile=secure.cert).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with pytest.raises(ssl.SSLWantReadError):
            o.do_handshake()
        hello = outgoing.read()
        s = socket.create_connection(("127.0.0.1", secure.gateway_port))
        s.sendall(hello[:n])
        s.close()
    with handshake(secure):
        pass
    assert secure.gateway.p.poll() is None


def by_hand(p, offered):
    """A TLS connection of which we see every record: the socket, the TLS object and its two buffers."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=p.cert)
    context.set_alpn_protocols([offered])
    o = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    s = socket.create_connection(("127.0.0.1", p.gateway_port), timeout=10 * SLOW)
    while True:
        try:
            o.do_handshake()
            return s, o, incoming, outgoing
        except ssl.SSLWantReadError:
            s.sendall(outgoing.read())
            incoming.write(s.recv(65536))


REQUESTS = {"http/1.1": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
            "h2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
                  + b"\0\0\x0e\1\5\0\0\0\1" + b"\x82\x87\4\7/health\x01\x01x"}


@pytest.mark.parametrize("offered", ["http/1.1", "h2"])
@pytest.mark.parametrize("how", ["alert", "record", "goodbye"])
def test_tls_that_breaks_behind_a_request(secure, offered, how):
    """The answer cannot be written any more, or nobody wants it: that connection ends, and nothing else does."""
    s, o, incoming, outgoing = by_hand(secure, offered)
    bad = b"\x17\3\3\0\x20" + bytes(32)
    with s:
        o.write(REQUESTS[offered])
        if how == "alert":  # what TLS says to a record that does not verify
            incoming.write(bad)
            with pytest.raises(ssl.SSLError):
                while True:
                    o.read(1)
        elif how == "goodbye":
            with pytest.raises(ssl.SSLWantReadError):
                o.unwrap()
        s.sendall(outgoing.read() + (bad if how == "record" else b""))
        try:
            while s.recv(65536):
                pass
        except ConnectionError:
            pass
    assert secure.gateway.p.poll() is None
    with handshake(secure) as s:
        s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert b" 200 " in s.recv(65536)


@pytest.mark.parametrize("offered", ["http/1.1", "h2"])
def test_records_that_fill_a_read(secure, offered):
    """The first 8192 bytes on the wire, at once: the server's buffer is full and there is no more."""
    body = b" " * 9000
    head = (b"POST /v1/nodes HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" if offered == "http/1.1" else
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
            + b"\0\0\x10\1\4\0\0\0\1" + b"\x83\x87\4\x09/v1/nodes\x01\x01x" + b"\0\x23\x28\0\1\0\0\0\1")
    s, o, incoming, outgoing = by_hand(secure, offered)
    with s:
        s.sendall(outgoing.read())
        time.sleep(0.2 * SLOW)  # the handshake's last message is a read of its own
        o.write((head + body)[:8192 - 22])
        first = outgoing.read()
        assert len(first) == 8192
        s.sendall(first)
        time.sleep(0.2 * SLOW)
        o.write((head + body)[8192 - 22:])
        s.sendall(outgoing.read())
        got = b""
        while (b"HTTP/1.1 4" if offered == "http/1.1" else b"request_id") not in got:
            more = s.recv(65536)
            assert more, got
            incoming.write(more)
            try:
                while (data := o.read(65536)):
                    got += data
            except ssl.SSLWantReadError:
                pass


@pytest.mark.parametrize("offered", [["h2"], ["http/1.1"]])
def test_connections_that_are_reset_leave_nothing(secure, offered):
    """A reset right after the handshake: no descriptor stays, and no connection that would hold up the end."""
    fds = f"/proc/{secure.gateway.p.pid}/fd"
    before = len(os.listdir(fds))
    for _ in range(40):
        s = handshake(secure, set_alpn_protocols=offered)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    wait_for("the descriptors to go", lambda: len(os.listdir(fds)) <= before, 5)


def ask(p, url, *args, **env):
    return p.sealway("complete", "--max-tokens", "3", *args, "a b",
                     env={"SEALWAY_URL": url, "SEALWAY_TOKEN": p.token, **env})


def test_the_command(secure):
    for form in ([], ["--stream"]):
        r = ask(secure, secure.https, "--ca-file", secure.cert, *form)
        assert (r.returncode, r.stdout) == (0, "a b a\n"), r.stderr


def test_the_command_refuses(secure, tmp_path):
    """The system's authorities, another authority, another name, no TLS, no file: nothing is sent, all is said."""
    other, _ = certificate(str(tmp_path), "other", "IP:127.0.0.1")
    port = secure.gateway_port
    cases = [([], secure.https, "certificate"), (["--ca-file", other], secure.https, "certificate"),
             (["--ca-file", secure.cert], f"https://localhost:{port}", "localhost"),
             (["--ca-file", str(tmp_path / "none")], secure.https, "certificate"),
             ([], f"http://127.0.0.1:{port}", "cannot talk to")]
    before = secure.gateway.metrics()
    for flags, url, word in cases:
        r = ask(secure, url, "--model", "demo", *flags)
        assert r.returncode == 1 and r.stdout == "" and word in r.stderr, (flags, url, r.stderr)
        assert secure.token not in r.stderr
    after = secure.gateway.metrics()
    requests = [k for k in after if k.startswith("sealway_gateway_requests_total")]
    assert {k: after[k] for k in requests} == {k: before[k] for k in requests}


def test_the_node_registers_only_where_it_trusts(secure):
    """The wrong authority: never registered, and it says why."""
    other, _ = certificate(secure.dir, "wrong", "IP:127.0.0.1")
    part = secure.start("node", "--gateway", secure.https, "--gateway-ca", other, name="wary")
    wait_for("its word", lambda: "registration_failed" in part.log())
    assert not os.path.exists(part.ready_file)
    assert part.log().count("event=registered") == 0
    part.end()


def start_badly(p, *flags):
    words = p.command("gateway", "--listen", "127.0.0.1:0", *flags)
    r = subprocess.run([binary("gateway"), *words], cwd=p.dir, capture_output=True, text=True, timeout=20 * SLOW,
                       stdin=subprocess.DEVNULL, env=plain_env())
    assert "Sanitizer" not in r.stderr and "runtime error" not in r.stderr, r.stderr
    return r.returncode, r.stderr


def test_certificates_that_do_not_fit(secure, tmp_path):
    cert, key = certificate(str(tmp_path), "other", "IP:127.0.0.1")
    rsa = certificate(str(tmp_path), "rsa", "IP:127.0.0.1", kind=("-newkey", "rsa:2048"))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    locked = tmp_path / "locked.pem"
    run_quiet("openssl", "ec", "-in", key, "-aes128", "-passout", "pass:abcd", "-out", str(locked))
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    for c, k, words in ((secure.cert, key, [key]), (cert, secure.key, [secure.key]), (rsa[0], key, [key]),
                        (cert, str(rubbish), [str(rubbish)]), (str(empty), key, [str(empty)]),
                        (str(tmp_path / "none"), key, ["none"]), (cert, str(tmp_path / "none"), ["none"]),
                        (cert, str(locked), ["pass phrase; write it without", str(locked)]),
                        (key, cert, [key]), (str(tmp_path), key, [str(tmp_path)])):
        code, said = start_badly(secure, "--tls-cert", c, "--tls-key", k)
        assert "Enter" not in said, "nobody is there to be asked for a pass phrase"
        assert code == 1 and "tls" in said.lower() and all(w in said for w in words), (c, k, code, said)
    for flags in (["--tls-cert", cert], ["--tls-key", key]):
        code, said = start_badly(secure, *flags)
        assert code == 2 and "tls_cert and tls_key go together" in said


def test_a_new_certificate(secure, tmp_path):
    """SIGHUP: new connections get what is in the files, those that stand go on; files that do not fit change nothing."""
    cert, key = certificate(str(tmp_path), "first", "IP:127.0.0.1")
    part = secure.start("gateway", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, name="renewed")
    host, port = part.ready()["listen"].split(":")
    trust = ssl.create_default_context(cafile=cert)

    def health(c):
        c.request("GET", "/health")
        r = c.getresponse()
        return r.read() and r.status

    def reload(word):
        before = part.log().count(word)
        part.p.send_signal(signal.SIGHUP)
        wait_for(word, lambda: part.log().count(word) > before)
        return ssl.get_server_certificate((host, int(port)))

    c = http.client.HTTPSConnection(host, int(port), timeout=10 * SLOW, context=trust)
    wait_for("its link", lambda: health(c) == 200)
    next_cert, next_key = certificate(str(tmp_path), "next", "IP:127.0.0.1")
    shutil.copy(next_key, key)  # half of a renewal
    assert reload("gateway.certificate_kept") == open(cert).read()
    shutil.copy(next_cert, cert)
    assert reload("event=gateway.certificate ") == open(next_cert).read()
    assert "event=tls_dates" not in part.log()
    run_quiet("openssl", "x509", "-in", next_cert, "-signkey", key, "-days", "-1", "-out", cert)
    assert reload("event=gateway.certificate ") == open(cert).read() and "event=tls_dates " in part.log()
    os.unlink(key)
    assert reload("gateway.certificate_kept") == open(cert).read()
    sock = c.sock
    assert health(c) == 200 and c.sock is sock
    c.close()
    part.end()


def test_rsa_and_a_chain(secure, tmp_path):
    """A certificate issued by an authority of its own, sent with its chain."""
    d = str(tmp_path)
    ca = certificate(d, "ca", "DNS:authority", kind=("-newkey", "rsa:2048"))
    leaf_key, csr, leaf = (os.path.join(d, n) for n in ("leaf-key.pem", "leaf.csr", "leaf.pem"))
    run_quiet("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", leaf_key, "-out", csr, "-subj", "/CN=leaf")
    ext = tmp_path / "ext"
    ext.write_text("subjectAltName=IP:127.0.0.1\n")
    run_quiet("openssl", "x509", "-req", "-in", csr, "-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial", "-out", leaf,
              "-days", "2", "-extfile", str(ext))
    chain = tmp_path / "chain.pem"
    chain.write_text(open(leaf).read() + open(ca[0]).read())
    part = secure.start("gateway", "--listen", "127.0.0.1:0", "--tls-cert", str(chain), "--tls-key", leaf_key,
                        name="chained")
    listen = part.ready()["listen"]
    admin = part.ready()["admin"]
    wait_for("its link", lambda: subprocess.run(["curl", "-sf", f"http://{admin}/ready"],
                                                capture_output=True).returncode == 0)
    r = ask(secure, f"https://{listen}", "--ca-file", ca[0])
    assert (r.returncode, r.stdout) == (0, "a b a\n"), r.stderr
    part.end()
