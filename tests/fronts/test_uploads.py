"""Large uploads through each front: nothing is collected on the way, neither by the front nor by the proxy."""

import hashlib
import json
import re
import socket
import unittest
from pathlib import Path

from front import TOKEN, Haproxy, Nginx
from harness import eventually
from provider import WAIT_MAX

MEGABYTE = 1_000_000
FILE_BYTES = 200 * MEGABYTE
PIECE = bytes(range(256)) * (MEGABYTE // 256)
MODEL = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="talk.wav"\r\n\r\n'
END = b"\r\n--b--\r\n"


def resident_kilobytes(proxy):
    """The most that the proxy has had in memory."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


class Uploads:
    def send(self, path, start, end=END, kind="multipart/form-data; boundary=b", size=FILE_BYTES):
        """The file's first megabyte must reach the provider before the rest is sent."""
        self.provider.script = lambda connection, request: connection.json(
            {"target": request["target"], "start": request["body"][:len(start)].decode(),
             "sum": hashlib.sha256(request["body"]).hexdigest()})
        length, before = len(start) + size + len(end), self.provider.received
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_MAX) as sock:
            sock.sendall(f"POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {kind}"
                         f"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + start)
            sent = 0
            while sent < size:
                sock.sendall(PIECE[:size - sent])
                if not sent:
                    eventually("the file begins", lambda: self.provider.received > before + MEGABYTE // 2)
                sent += len(PIECE[:size - sent])
            sock.sendall(end)
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        head, body = answer.split(b"\r\n\r\n", 1)
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), answer)
        return json.loads(body)

    def sum_of(self, start, end=END, size=FILE_BYTES):
        wanted, left = hashlib.sha256(start), size
        while left:
            piece = PIECE[:left]
            wanted.update(piece)
            left -= len(piece)
        wanted.update(end)
        return wanted.hexdigest()

    def test_200_megabytes_go_on_as_they_come_and_take_no_memory(self):
        self.send("/v1/audio/transcriptions", MODEL % b"p/m" + FILE, size=MEGABYTE)
        before = [resident_kilobytes(proxy) for proxy in self.proxies]
        for _ in self.proxies:
            answer = self.send("/v1/audio/transcriptions", MODEL % b"p/m" + FILE)
            self.assertEqual(answer["sum"], self.sum_of(MODEL % b"m" + FILE))
        grown = [resident_kilobytes(proxy) - was for proxy, was in zip(self.proxies, before)]
        print(f"  kB more in memory: {grown}", end=" ")
        self.assertLessEqual(max(grown), 1024)

    def test_pass_through_has_no_limit_either(self):
        answer = self.send("/p/p/files?purpose=batch", b"", b"", "application/octet-stream")
        self.assertEqual(answer, {"target": "/v1/files?purpose=batch", "start": "", "sum": self.sum_of(b"", b"")})


class BehindNginx(Nginx, Uploads, unittest.TestCase):
    pass


class BehindHaproxy(Haproxy, Uploads, unittest.TestCase):
    pass
