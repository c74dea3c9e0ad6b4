#!/usr/bin/env python3
"""Writes Sources/WinnowText/ScalarClassRanges.swift: what each scalar is to a pre-tokenizer.

The answer is asked of Hugging Face `tokenizers` itself, so that words split where it splits them whatever
edition of Unicode it was built with. Needs: pip install tokenizers==0.23.3.

    python3 Tools/make-scalar-classes.py
"""

from swift_table import write
from tokenizers import Regex, pre_tokenizers

# The bits of Sources/WinnowText/ScalarClass.swift.
LETTER, NUMBER, SPACE = 1, 2, 3
NUMERIC, MARK, PUNCTUATION, SYMBOL, UPPER, LOWER = 4, 8, 16, 32, 64, 128

# A letter no class below changes stands between any two scalars, so that no match spans two of them.
VALUES = [value for value in range(0x110000) if not 0xD800 <= value < 0xE000]


def members(pre_tokenizer, separator):
    """The scalars that a pre-tokenizer cuts off when they stand between separators."""
    found = set()
    for start in range(0, len(VALUES), 0x4000):
        values = VALUES[start:start + 0x4000]
        text = separator + separator.join(map(chr, values)) + separator
        for _, (first, last) in pre_tokenizer.pre_tokenize_str(text):
            if last == first + 1 and first % 2 == 1:
                found.add(values[first // 2])
    return found


def matching(expression, separator="a"):
    return members(pre_tokenizers.Split(Regex(expression), "isolated"), separator)


# Hangul jamo and the like would join with letters in no expression: only what the expression names is cut.
classes = [
    (matching(r"\p{L}", "!"), LETTER), (matching(r"\p{N}"), NUMBER), (matching(r"\s"), SPACE),
    (members(pre_tokenizers.Digits(individual_digits=True), "a"), NUMERIC), (matching(r"\p{M}"), MARK),
    (matching(r"\p{P}"), PUNCTUATION), (matching(r"\p{S}"), SYMBOL), (matching(r"[\p{Lu}\p{Lt}]", "!"), UPPER),
    (matching(r"\p{Ll}", "!"), LOWER),
]
kinds = [0] * 0x110000
for found, bits in classes:
    for value in found:
        kinds[value] |= bits

ranges = []
for value, kind in enumerate(kinds):
    if kind == 0:
        continue
    if ranges and ranges[-1][2] == kind and ranges[-1][1] == value:
        ranges[-1][1] = value + 1
    else:
        ranges.append([value, value + 1, kind])

numbers = []
for start, end, kind in ranges:
    numbers += [start, (end - start) << 8 | kind]
write(
    "ScalarClassRanges.swift", "make-scalar-classes.py", "ScalarClass",
    "Pairs of a first scalar and (count << 8 | class bits), ascending; scalars in no range have class 0.", "ranges", numbers)
