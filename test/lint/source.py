"""What every lint check shares: which files there are, C without its comments, and the verdict.

A check is a program of this folder. It takes the root of the source tree as its argument (default:
this tree), prints one line `file:line: what` per finding, and exits 1 when there was any.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ("include", "src", "test")
C_ENDS = (".c", ".h", ".l", ".y")
TEXT_ENDS = C_ENDS + (".def", ".py", ".sh", ".js", ".java")


def root_of(argv):
    return os.path.abspath(argv[1] if len(argv) > 1 else os.path.join(HERE, "..", ".."))


def _listed(root):
    if os.path.exists(os.path.join(root, ".git")):
        done = subprocess.run(
            ["git", "-C", root, "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard",
             "--", *FOLDERS], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return [name for name in done.stdout.split("\n")
                    if name and os.path.exists(os.path.join(root, name))]
    names = []
    for folder in FOLDERS:
        for at, folders, files in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders if f != "node_modules"]
            names += [os.path.relpath(os.path.join(at, f), root) for f in files]
    return names


def files(root, ends=C_ENDS, under=FOLDERS):
    """Paths relative to root; what flex and bison make in a tree built in place is left out."""
    names = set(_listed(root))
    made = {n[:-2] + e for n in names if n.endswith((".l", ".y")) for e in (".c", ".h")}
    return sorted(n for n in names - made if n.endswith(ends) and n.split("/")[0] in under)


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text, keep_strings=False):
    """The text with comments (and strings) blanked, every newline kept."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token if keep_strings else token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def verdict(findings):
    for name, line, what in sorted(set(findings)):
        print(f"{name}:{line}: {what}")
    sys.exit(1 if findings else 0)
