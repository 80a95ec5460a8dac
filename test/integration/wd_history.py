"""What etcd and the servers have written down of a watchdog's cluster, and what of it must never
be. Judges are pure: each takes what was recorded, and returns what is wrong, in words."""

import base64
import http.client
import itertools
import json
import os
import re
from collections import namedtuple

# One change of a key. text: None: it was deleted.
Change = namedtuple("Change", "revision key text")
# One that a server began to be a primary by.
Promotion = namedtuple("Promotion", "node timeline moment")

PROMOTED = re.compile(r"^(\S+ \S+).*selected new timeline ID: (\d+)$", re.M)


def fields(text):
    """Those of a record's first line."""
    return dict(word.split("=", 1) for word in text.split("\n", 1)[0].split() if "=" in word)


# ---- reading -------------------------------------------------------------------------------------

class History:
    """Of all keys below the prefix, since etcd began: it compacts nothing by itself."""

    marks = itertools.count()

    def __init__(self, network, place, members, prefix="/pgpool/"):
        self.network, self.place, self.members, self.prefix = network, place, members, prefix
        self.changes, self.next_revision = [], 1

    def _post(self, member, path, body):
        one = http.client.HTTPConnection(member.host, member.port, timeout=10)
        one.sock = self.network.socket(self.place)
        one.sock.settimeout(10)
        one.sock.connect((member.host, member.port))
        one.request("POST", path, json.dumps(body))
        answer = one.getresponse()
        return one, answer

    def read(self):
        """What is new; etcd must be well. Behind a mark of our own nothing is missing."""
        member = next(member for member in self.members if member.process is not None)
        mark = f"nemesis/{next(History.marks)}"
        one, answer = self._post(member, "/v3/kv/put", {"key": coded(mark), "value": coded(mark)})
        assert answer.status == 200, answer.read()
        one.close()
        one, answer = self._post(member, "/v3/watch", {"create_request": {
            "key": coded("\0"), "range_end": coded("\0"),
            "start_revision": str(self.next_revision)}})
        try:
            while not self._take(json.loads(answer.readline()), mark):
                pass
        finally:
            answer.close()
            one.close()
        return self.changes

    def _take(self, line, mark):
        result = line["result"]
        assert not result.get("canceled"), result
        marked = False
        for event in result.get("events", []):
            pair = event["kv"]
            key, revision = decoded(pair["key"]), int(pair["mod_revision"])
            self.next_revision = max(self.next_revision, revision + 1)
            marked = marked or key == mark
            if key.startswith(self.prefix):
                text = None if event.get("type") == "DELETE" else decoded(pair.get("value", ""))
                self.changes.append(Change(revision, key[len(self.prefix):], text))
        return marked


def coded(text):
    return base64.b64encode(text.encode()).decode()


def decoded(text):
    return base64.b64decode(text).decode(errors="replace")


def promotions(servers):
    """From the servers' logs. Servers log with milliseconds, by the wall clock."""
    found = []
    for node in servers:
        if os.path.exists(node.log):
            with open(node.log, encoding="utf-8", errors="replace") as file:
                found += [Promotion(node.number, int(timeline), moment)
                          for moment, timeline in PROMOTED.findall(file.read())]
    return sorted(found, key=lambda one: one.moment)


# ---- judging -------------------------------------------------------------------------------------

def judge_states(changes):
    """The history of the committed state, and of who could commit it."""
    wrong, epoch, candidates, leader = [], 0, {}, None
    for revision, keys in itertools.groupby(changes, key=lambda one: one.revision):
        keys, words = {one.key: one for one in keys}, []
        if "state" in keys and keys["state"].text is None:
            words.append("the state was deleted")
        elif "state" in keys:
            state = fields(keys["state"].text)
            now, candidate = int(state["epoch"]), int(state["candidate"])
            if leader is None:
                words.append("a state was committed while nobody led")
            if now < epoch:
                words.append(f"epoch {now} after {epoch}")
            if candidate >= 0 and candidates.setdefault(now, candidate) != candidate:
                words.append(f"candidate {candidate} in epoch {now}, after {candidates[now]}")
            epoch = max(epoch, now)
        if "leader" in keys:
            text = keys["leader"].text
            if text is not None and leader is not None:
                words.append(f"{text} leads while {leader} does")
            leader = text
        wrong += [f"revision {revision}: {one}" for one in words]
    return wrong


def judge_promotions(changes, promoted):
    """Every promotion is one that was committed, and each timeline has one."""
    wrong, by_timeline = [], {}
    epochs = {}  # node: {epoch: lowest committed timeline with it as the candidate}
    for change in changes:
        if change.key == "state" and change.text is not None:
            state = fields(change.text)
            if int(state["candidate"]) >= 0:
                of_node = epochs.setdefault(int(state["candidate"]), {})
                of_node.setdefault(int(state["epoch"]), int(state["timeline"]))
    for one in promoted:
        first = by_timeline.setdefault(one.timeline, one)
        if first is not one:
            wrong.append(f"two promotions to timeline {one.timeline}: {first} and {one}")
    for node in {one.node for one in promoted}:
        its = [one for one in promoted if one.node == node]
        orders = sorted(epochs.get(node, {}).values())
        for number, one in enumerate(sorted(its, key=lambda one: one.timeline)):
            if number >= len(orders) or orders[number] >= one.timeline:
                wrong.append(f"{one} without a committed record: {epochs.get(node, {})}")
    return wrong


def judge_holders(watch_doubles, without_end=()):
    wrong = [f"{members} held the address at once" for _, members in watch_doubles]
    return wrong + [f"pgpool {number} held the address without an end" for number in without_end]


def who_promoted(changes, promoted):
    """For people: each promotion with the revision that allowed it."""
    lines = []
    for one in promoted:
        said = [(change.revision, fields(change.text)) for change in changes
                if change.key == "state" and change.text is not None]
        orders = [(revision, state["epoch"]) for revision, state in said
                  if int(state["candidate"]) == one.node and int(state["timeline"]) < one.timeline]
        lines.append(f"node {one.node} to timeline {one.timeline} at {one.moment}: " + (
            f"epoch {orders[-1][1]}, revision {orders[-1][0]}" if orders else "nobody's order"))
    return lines
