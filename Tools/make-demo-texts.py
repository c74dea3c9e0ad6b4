#!/usr/bin/env python3
"""Cuts the two texts of `winnow demo` out of plain-text editions of the novels.

    Tools/make-demo-texts.py PERSUASION.txt TOM-SAWYER.txt

writes Sources/CWinnowTexts/texts/{calibration,scoring}.txt. A chapter range is taken, the lines of a paragraph
are joined, and runs of spaces become one space; the words stay as they are.
"""
import hashlib
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Sources/CWinnowTexts/texts"


def chapters(text, heading, first, last):
    """From the heading of chapter `first` up to the heading of the one after `last`."""
    found = list(re.finditer(heading, text, re.MULTILINE))
    return text[found[first - 1].start() : found[last].start()]


def reflowed(text):
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\r", "")):
        lines = [re.sub(r" +", " ", line).strip() for line in paragraph.split("\n")]
        lines = [line for line in lines if line]
        if not lines:
            continue
        # Verses and inscriptions are set in; their lines stay apart.
        indented = all(line.startswith("   ") for line in paragraph.split("\n") if line.strip())
        paragraphs.append(("\n" if indented else " ").join(lines))
    return "\n\n".join(paragraphs) + "\n"


def main():
    persuasion = pathlib.Path(sys.argv[1]).read_text("ascii")
    sawyer = pathlib.Path(sys.argv[2]).read_text("ascii")
    texts = {
        "calibration": reflowed(chapters(persuasion, r"^Chapter \d+$", 1, 11)),
        "scoring": reflowed(chapters(sawyer, r"^CHAPTER [IVXL]+$", 12, 21)),
    }
    for name, text in texts.items():
        data = text.encode("ascii")
        (FOLDER / f"{name}.txt").write_bytes(data)
        print(name, len(data), hashlib.sha256(data).hexdigest())


main()
