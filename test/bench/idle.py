"""Clients that log in and stay: sockets and nothing else, so that ten thousand of them fit into one
process. What they cost is read from /proc by account.py.
"""

import resource
import socket
import time

import protocol

BATCH = 100  # logins under way at a time: less than any listening queue holds
SPARE = 500  # descriptors besides the clients'


def raise_limit(clients):
    """Descriptors for so many clients, in this process and all that it starts from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = clients + SPARE
    if soft < need or hard < need:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), max(hard, need)))
        except (OSError, ValueError) as error:
            raise RuntimeError(f"{need} descriptors are needed, the limit is {hard}") from error


class IdleClients:
    """Logged in through one port of loopback."""

    def __init__(self, port, user, database, timeout_s=30.0):
        self.address, self.timeout_s = ("127.0.0.1", port), timeout_s
        self.hello = protocol.startup(user, database)
        self.sockets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            sock.close()
        self.sockets = []

    def add(self, count):
        while count > 0:
            fresh = []
            for _ in range(min(count, BATCH)):
                sock = socket.create_connection(self.address, timeout=self.timeout_s)
                self.sockets.append(sock)
                fresh.append(sock)
                sock.sendall(self.hello)
            for sock in fresh:
                protocol.read_answer(sock)
            count -= len(fresh)

    def ask_all(self):
        """Each asks for something of its own, one after the other. Their latencies in ms."""
        latencies = []
        for number, sock in enumerate(self.sockets):
            began = time.monotonic()
            sock.sendall(protocol.query(f"SELECT {number}"))
            row = protocol.read_answer(sock)[1]
            latencies.append((time.monotonic() - began) * 1000)
            if row != protocol.one_value(str(number)):
                raise RuntimeError(f"client {number} got {row!r}")
        return latencies
