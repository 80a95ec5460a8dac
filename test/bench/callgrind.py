"""Reads what valgrind's callgrind writes: instructions by function, of one object file.

Source: valgrind's manual, chapter "Callgrind Format Specification".
"""

import collections
import re

NAME = re.compile(r"\((\d+)\)(?: (.*))?")


class Profile:
    """Of one process. costs: instructions by function, without those of the functions it calls."""

    def __init__(self, path, program):
        self.program = program
        self.names = {"ob": {}, "fn": {}}
        self.costs = collections.Counter()
        with open(path, encoding="utf-8", errors="replace") as file:
            self._read(file)

    def _name(self, space, text):
        """Names are given once, and numbers stand for them from then on."""
        match = NAME.match(text)
        if match is None:
            return text
        if match[2] is not None:
            self.names[space][match[1]] = match[2]
        return self.names[space].get(match[1], "?")

    def _read(self, file):
        ours, function, is_call = False, "?", False
        for line in file:
            key, equals, value = line.rstrip("\n").partition("=")
            if equals:
                if key in ("ob", "cob"):
                    name = self._name("ob", value)
                    ours = name == self.program if key == "ob" else ours
                elif key in ("fn", "cfn"):
                    name = self._name("fn", value)
                    function = name if key == "fn" else function
                is_call = key == "calls"
            elif line[0] in "+-*0123456789":
                if ours and not is_call:
                    self.costs[function] += int(line.split()[1])
                is_call = False
