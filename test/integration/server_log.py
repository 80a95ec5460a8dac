"""What a PostgreSQL server of ours logs from some moment on."""

import os
import re

ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \w+ \[\d+\] ")


class ServerLog:
    def __init__(self, server):
        self.server = server
        self.start = os.path.getsize(server.log)

    def entries(self):
        """Each with its continuation lines."""
        with open(self.server.log, "rb") as file:
            file.seek(self.start)
            lines = file.read().decode(errors="replace").split("\n")
        entry = ""
        for line in lines:
            if ENTRY.match(line):
                yield entry
                entry = line
            else:
                entry += "\n" + line
        yield entry
