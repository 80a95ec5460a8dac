"""What is written down while a town is broken, and the verdict on all of it."""

import json
import os
import shutil

from addresses import AddressWatch
from failing import two_primaries
from town import CLIENT, PGPOOLS, VIRTUAL
from wd_history import (History, judge_holders, judge_promotions, judge_states, promotions,
                        who_promoted)


class Records:
    """From now on. loads: whoever has written; the caller adds them."""

    def __init__(self, town):
        self.town, self.loads = town, []
        self.history = History(town.network, CLIENT, town.etcd.members)
        self.watch = AddressWatch(town.network, range(PGPOOLS), VIRTUAL)

    def acknowledged(self):
        acks = {}
        for load in self.loads:
            acks |= load.acknowledged()
        return acks

    def where(self, row):
        """The pgpool that has acknowledged it."""
        who, number = row
        return next((one.at.get(number) for load in self.loads for one in load.writers
                     if one.who == who), None)

    def missing(self, primary):
        acks = self.acknowledged()
        lost = sorted(set(acks) - set(primary.rows("SELECT who, n FROM acks")))
        return [f"{len(lost)} acknowledged rows are missing, as " + str(
            [(row, f"by pgpool {self.where(row)}", acks[row]) for row in lost[:5]])] if lost else []

    def promotions(self):
        return promotions(self.town.cluster.servers)

    def judge(self, primary):
        """What is wrong, in words. primary: who has all of it. etcd must be well."""
        changes = self.history.read()
        wrong = [one.hung for load in self.loads for one in load.all if one.hung]
        wrong += self.missing(primary) + two_primaries(self.acknowledged().values())
        wrong += judge_states(changes) + judge_promotions(changes, self.promotions())
        wrong += judge_holders(self.watch.doubles, self.watch.without_end)
        if self.watch.error:
            raise self.watch.error
        return wrong

    def keep(self, directory):
        os.makedirs(directory, exist_ok=True)
        for pgpool in self.town.pgpools:
            shutil.copy(pgpool.log, f"{directory}/pgpool{pgpool.number}.log")
            shutil.copy(pgpool.config, f"{directory}/pgpool{pgpool.number}.conf")
        for node in self.town.cluster.servers:
            shutil.copy(node.log, directory)
        for member in self.town.etcd.members:
            shutil.copy(self.town.etcd.path(member.name + ".log"), directory)
        with open(directory + "/facts", "w", encoding="utf-8") as file:
            self.tell(file)
        with open(directory + "/acks.json", "w", encoding="utf-8") as file:
            json.dump([[*row, self.where(row), *ack] for row, ack in self.acknowledged().items()],
                      file)

    def tell(self, file):
        print("address:", *self.watch.text(), sep="\n    ", file=file)
        print("held by several:", *self.watch.doubles, sep="\n    ", file=file)
        print("promotions:", *who_promoted(self.history.changes, self.promotions()),
              sep="\n    ", file=file)
        print("etcd:", file=file)
        for change in self.history.changes:
            text = None if change.text is None else change.text.split("\n", 1)[0]
            print(f"    {change.revision} {change.key} {text}", file=file)

    def close(self):
        self.watch.close()
