"""A memcached of a test's own."""

import socket
import subprocess

from proxy import binary
from waiting import free_port


class Memcached:
    """A server on the loopback."""

    def __init__(self):
        self.port, self.process = free_port(), None

    def start(self):
        self.process = subprocess.Popen(
            ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0",
             "-m", "64"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def count(self, name):
        """One of its numbers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as sock:
            sock.sendall(b"stats\r\n")
            text = b""
            while not text.endswith(b"END\r\n"):
                text += sock.recv(65536)
        return int(dict(line.split()[1:3] for line in text.decode().splitlines()[:-1])[name])


def has_memcached():
    done = subprocess.run(["ldd", binary()], capture_output=True, text=True, check=False)
    return "libmemcached" in done.stdout
