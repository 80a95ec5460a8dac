#!/usr/bin/python3
"""Writes the corpus: statements for every production of PostgreSQL's synopses (15 to 18).

Below, `[x]` may be left out, `{a | b}` is a choice; `<name>` is a fragment of FRAGMENTS, a choice
too. Each template gives one plain statement, and one more for every option and alternative that is
not taken in it: everything occurs, not every combination. `\\[`, `\\{`, `\\|` stand for themselves.

    test/corpus/generate.py            writes the files beside it
    test/corpus/generate.py --check    only tells whether they are as they should be
"""

import os
import sys

import newer
import templates

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIAL = "[]{}|"


class Node:
    """A sequence of texts and choices; a choice is a list of sequences."""

    def __init__(self):
        self.parts = []


def parse(text, at, ends, fragments):
    """A sequence up to one of `ends`; returns it and where it ended."""
    node = Node()
    word = ""
    while at < len(text):
        letter = text[at]
        if letter == "\\" and text[at + 1] in SPECIAL:
            word += text[at + 1]
            at += 2
            continue
        if letter in ends:
            break
        if letter in "[{":
            node.parts.append(word)
            word = ""
            close = "]" if letter == "[" else "}"
            choices = [] if letter == "{" else [Node()]
            while True:
                inner, at = parse(text, at + 1, "|" + close, fragments)
                choices.append(inner)
                if text[at] == close:
                    break
            node.parts.append(choices)
            at += 1
            continue
        if letter == "<" and text[at + 1:at + 2].isalpha() and ">" in text[at:]:
            name = text[at + 1:text.index(">", at)]
            if name in fragments:
                node.parts.append(word)
                word = ""
                node.parts.append([parse(one, 0, "", fragments)[0] for one in fragments[name]])
                at += len(name) + 2
                continue
        word += letter
        at += 1
    node.parts.append(word)
    return node, at


def plain(node):
    return "".join(part if isinstance(part, str) else plain(part[0]) for part in node.parts)


def variants(node):
    """The plain text first, then one for every alternative anywhere in it."""
    base = [part if isinstance(part, str) else plain(part[0]) for part in node.parts]
    yield "".join(base)
    for number, part in enumerate(node.parts):
        if isinstance(part, str):
            continue
        for choice, inner in enumerate(part):
            texts = variants(inner)
            if choice == 0:
                next(texts)
            for text in texts:
                yield "".join(base[:number]) + text + "".join(base[number + 1:])


def lines_of(statements):
    seen = set()
    for template in statements:
        node, _ = parse(" ".join(template.split()), 0, "", templates.FRAGMENTS)
        for text in variants(node):
            text = " ".join(text.split())
            if text not in seen:
                seen.add(text)
                yield text


def contents():
    for name, statements in templates.FILES.items():
        yield name, "-- Written by generate.py: do not edit.\n" + "".join(
            line + "\n" for line in lines_of(statements))
    text = "-- Written by generate.py from newer.py: do not edit.\n"
    for want, statement in newer.STATEMENTS:
        text += f"--= {want}\n{' '.join(statement.split())}\n"
    yield "newer.sql", text


def main():
    check = "--check" in sys.argv
    stale = []
    for name, text in contents():
        path = os.path.join(HERE, name)
        old = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                old = file.read()
        if old == text:
            continue
        stale.append(name)
        if not check:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    for name in stale:
        print(f"{name}: {'is not what generate.py writes' if check else 'written'}")
    return 1 if check and stale else 0


sys.exit(main())
