"""Plays rows of the table: on a server itself, which says what the answers are, and through pgpool,
where the servers' own logs tell who ran what.

Each statement ends in a comment with its number, and the databases of the table log all statements:
nothing that pgpool says about itself is asked for. Before each statement the standbys have replayed
what was written, and pgpool is told not to care for freshness (read_consistency = eventual): a read
never goes to the primary because a standby was late.
"""

import re

import raw

STEP_TIMEOUT = 10.0
RAN = re.compile(r": (?:LOG:  (?:statement|execute [^:]*)|STATEMENT): ")
MARK = re.compile(r"/\* (simple|extended) row (\d+) \*/")


class Answer:
    """What came for one statement."""

    def __init__(self, messages):
        self.messages = messages

    def comparable(self, varies=False):
        """Parameters are reported whenever they reach a connection: they do not count."""
        kept = [got for got in self.messages if got.kind != "S"]
        if not varies:
            return [got.comparable() for got in kept]
        return [got.comparable() if got.kind in "CZ" else got.kind for got in kept
                if got.kind != "D"]

    def errors(self):
        return [got.fields() for got in self.messages if got.kind == "E"]

    def sqlstate(self):
        return self.errors()[0]["C"] if self.errors() else None


class Lost(Answer):
    """No answer: the connection broke, or nothing came."""

    def __init__(self, error):
        super().__init__([])
        self.error = f"{type(error).__name__}: {error}"

    def comparable(self, varies=False):
        return [self.error]

    def sqlstate(self):
        return self.error


def ran(log):
    """(protocol, number) of the rows that ran, or failed, on the server of the log."""
    return {(protocol, int(number)) for entry in log.entries() if RAN.search(entry)
            for protocol, number in MARK.findall(entry)}


class Player:
    """Plays rows against one target and database through one of the protocols.

    settle is called when something may have been written. With keep, sessions without a context are
    used again: where nothing but the answers counts, which depend on no connection.
    """

    def __init__(self, target, database, protocol, settle, keep=False):
        self.target, self.database, self.settle_all = target, database, settle
        self.protocol, self.extended = protocol, protocol == "extended"
        self.kept = {} if keep else None
        self.dirty = True

    def connect(self, row):
        more = {"options": row.options} if row.options else {}
        database = f"{self.database}_{row.database}" if row.database else self.database
        return raw.connected(self.target, STEP_TIMEOUT, user=row.user, database=database, **more)

    def borrow(self, row):
        """A session as after its login."""
        kept = self.kept and self.kept.pop((row.user, row.database, row.options), None)
        return kept or self.connect(row)

    def give_back(self, row, one, answers):
        if self.kept is not None and answers and not isinstance(answers[-1], Lost):
            one.simple("ROLLBACK")
            one.simple("DISCARD ALL")
            self.kept[(row.user, row.database, row.options)] = one
        else:
            one.close()

    def close(self):
        for one in (self.kept or {}).values():
            one.close()

    def settle(self):
        if self.dirty:
            self.settle_all()
        self.dirty = False

    def text(self, sql):
        return sql.replace("{database}", self.database)

    def marked(self, number, sql):
        """With its number at the end, behind a comment that the line may end in."""
        return f"{sql}{chr(10) if '--' in sql else ' '}/* {self.protocol} row {number} */"

    def read(self, one, data=""):
        """Up to ReadyForQuery; gives COPY FROM STDIN its data."""
        messages = []
        while not messages or messages[-1].kind != "Z":
            messages.append(one.read())
            if messages[-1].kind == "G":
                # a Sync that was sent in front of the data has been read over
                one.send(raw.copy_data(data), raw.COPY_DONE, raw.SYNC if self.extended else b"")
        return Answer(messages)

    def ask(self, one, sql, simple=False, values=(), data=""):
        if simple or not self.extended:
            one.send(raw.query(sql))
        else:
            one.send(raw.parse("", sql), raw.bind("", "", *values), raw.describe("P"),
                     raw.execute(), raw.SYNC)
        return self.read(one, data)

    def prepare(self, one, number, row):
        """The row's statement gets a name; returns what will execute it."""
        sql = self.text(row.sql)
        if self.extended:
            one.send(raw.parse("row", self.marked(number, sql)), raw.SYNC)
            self.read(one)
            return b"".join([raw.bind("", "row", *(row.values or ())), raw.describe("P"),
                             raw.execute(), raw.SYNC])
        one.send(raw.query(f"PREPARE \"row\" AS {sql}"))
        self.read(one)
        return raw.query(self.marked(number, "EXECUTE \"row\""))

    def step(self, one, others, step):
        """Runs a statement of a row's context; all that others do is done by one other session."""
        if getattr(step, "by_another", False):
            if not others:
                others.append(raw.connected(self.target, STEP_TIMEOUT, database=self.database))
            one = others[0]
        answer = self.ask(one, self.text(step), getattr(step, "several", False))
        self.dirty = True
        return answer

    def statement(self, one, number, row, named):
        if named:
            one.send(named)
            return self.read(one)
        return self.ask(one, self.marked(number, self.text(row.sql)), values=row.values or (),
                        data=row.data)

    def play(self, number, row):
        """The answers to the row's steps and, last, to its statement."""
        one, others, answers = None, [], []
        try:
            one = self.borrow(row)
            named = self.prepare(one, number, row) if row.prepared else None
            for step in row.before:
                self.settle()
                answers.append(self.step(one, others, step))
            self.settle()
            answers.append(self.statement(one, number, row, named))
            self.dirty |= row.place != "standby"
        except (OSError, raw.Closed, AssertionError) as error:
            answers.append(Lost(error))
            self.dirty = True
        for other in others:
            other.close()
        if one:
            self.give_back(row, one, answers)
        return answers

    def may_play(self, row):
        if row.only:
            return row.only == ("extended" if self.extended else "simple")
        return self.extended or row.values is None

    def play_all(self, rows):
        """{number: answers} of the rows that the protocol can express."""
        answers = {number: self.play(number, row) for number, row in enumerate(rows)
                   if self.may_play(row)}
        self.close()
        return answers
