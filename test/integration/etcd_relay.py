"""Stands between a pgpool and etcd, knows which request commits a state, and can stop the world at
one: so a leader can be killed at each step of a plan, before what it has decided is written, or
behind that, before it knows."""

import base64
import json
import re
import socket
import threading

LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.I | re.M)


def committed_state(path, body):
    """The text of the state that this request would commit; None: it would commit none."""
    if not path.endswith(b"/kv/txn"):
        return None
    for one in json.loads(body).get("success", []):
        put = one.get("request_put") or one.get("requestPut")
        if put and base64.b64decode(put["key"]).endswith(b"/state"):
            return base64.b64decode(put["value"]).decode(errors="replace")
    return None


class Relay:
    """At a place of a network, on a port of its loopback; upstream: members of etcd, of whom the
    first one that answers is asked."""

    def __init__(self, network, place, port, upstream):
        self.network, self.place, self.upstream = network, place, upstream
        self.commits = []  # states that were committed since begin()
        self.stop_at = None  # (which of them, "before" or "behind")
        self.stopped = threading.Event()  # that one has come: nothing is passed on any more
        self.closing = False
        with network.entered(place):
            self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.sockets = [self.listener]
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, number=None, when=None):
        """Counts from 0 again; stops at that commit."""
        with self.lock:
            self.commits = []
            self.stop_at = None if number is None else (number, when)
        self.stopped.clear()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _connect(self):
        for member in self.upstream:
            one = self.network.socket(self.place)
            one.settimeout(2)
            try:
                one.connect((member.host, member.port))
                one.settimeout(None)
                return one
            except OSError:
                one.close()
        return None

    def _serve(self, client):
        server = self._connect()
        if server is None:
            client.close()
            return
        self.sockets += [client, server]
        held = threading.Event()  # what comes back on this connection stays here
        threading.Thread(target=self._back, args=(server, client, held), daemon=True).start()
        try:
            self._requests(client, server, held)
        except OSError:
            pass
        finally:
            for one in (client, server):
                self._shut(one)

    def _requests(self, client, server, held):
        data = b""
        while True:
            head, found, rest = data.partition(b"\r\n\r\n")
            length = LENGTH.search(head) if found else None
            size = int(length.group(1)) if length else 0
            if not found or len(rest) < size:
                more = client.recv(1 << 16)
                if not more:
                    return
                data += more
                continue
            request, data = data[:len(head) + 4 + size], rest[size:]
            path = head.split(b" ", 2)[1]
            if not self._pass_on(committed_state(path, rest[:size]), held):
                return
            server.sendall(request)

    def _pass_on(self, state, held):
        """Does this request go to etcd?"""
        if self.stopped.is_set():
            return False
        if state is None:
            return True
        with self.lock:
            number = len(self.commits)
            if self.stop_at == (number, "before"):
                self.stopped.set()
                return False
            self.commits.append(state)
            if self.stop_at == (number, "behind"):
                held.set()  # _back sets stopped when etcd has answered
        return True

    def _back(self, server, client, held):
        try:
            while data := server.recv(1 << 16):
                if held.is_set():
                    self.stopped.set()
                if self.stopped.is_set():
                    return  # the answer stays here, and so does all else
                client.sendall(data)
        except OSError:
            pass
        finally:
            self._shut(client)

    @staticmethod
    def _shut(one):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()

    def close(self):
        for one in self.sockets:
            self._shut(one)
