# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 over cleartext (prior knowledge), one request per connection, with python3-h2."""
import socket

import h2.config
import h2.connection
import h2.events


class Reset(Exception):
    """The stream was reset; .head and .body hold what came before."""

    def __init__(self, code, head, body):
        self.code, self.head, self.body = code, head, body
        super().__init__(f"reset {code}")


def request(host, port, method, path, headers=(), body=b"", timeout=30, settings=None):
    """(status, headers, body) like sealclient.Client.request; Reset when the stream is reset.

    settings: numbers and values that are sent besides h2's own."""
    with socket.create_connection((host, port), timeout=timeout) as s:
        c = h2.connection.H2Connection(config=h2.config.H2Configuration(header_encoding="utf-8"))
        c.initiate_connection()
        if settings:
            c.update_settings(settings)
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", f"{host}:{port}")]
        head += [(k.lower(), v) for k, v in headers]
        c.send_headers(1, head, end_stream=not body)
        s.sendall(c.data_to_send())
        answer, data, sent, done = {}, b"", 0, False
        while not done:
            while sent < len(body):
                n = min(len(body) - sent, c.local_flow_control_window(1), c.max_outbound_frame_size)
                if n <= 0:
                    break
                c.send_data(1, body[sent:sent + n], end_stream=sent + n == len(body))
                sent += n
            s.sendall(c.data_to_send())
            got = s.recv(65536)
            if not got:
                raise ConnectionError("connection closed")
            for e in c.receive_data(got):
                if isinstance(e, h2.events.ResponseReceived):
                    answer = dict(e.headers)
                elif isinstance(e, h2.events.DataReceived):
                    data += e.data
                    c.acknowledge_received_data(e.flow_controlled_length, 1)
                elif isinstance(e, h2.events.StreamEnded):
                    done = True
                elif isinstance(e, h2.events.StreamReset):
                    raise Reset(e.error_code, answer, data)
                elif isinstance(e, h2.events.ConnectionTerminated):
                    raise ConnectionError(f"goaway {e.error_code}")
        s.sendall(c.data_to_send())
        return int(answer.pop(":status")), answer, data
