#!/usr/bin/env python3
"""Writes Sources/WinnowText/ScalarClassRanges.swift: which scalars are letters, numbers and white space.

The answer is asked of Hugging Face `tokenizers` itself, scalar by scalar, so that words split where it splits
them whatever edition of Unicode it was built with. Needs: pip install tokenizers==0.23.3.

    python3 Tools/make-scalar-classes.py
"""
import pathlib
import tokenizers
from tokenizers import pre_tokenizers

LETTER, NUMBER, SPACE, NUMERIC = 1, 2, 3, 4
byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
digits = pre_tokenizers.Digits(individual_digits=True)


def pieces(pre_tokenizer, text):
    return len(pre_tokenizer.pre_tokenize_str(text))


def class_of(scalar):
    if pieces(byte_level, "a" + scalar + "a") == 1:
        kind = LETTER
    elif pieces(byte_level, "1" + scalar + "1") == 1:
        kind = NUMBER
    elif pieces(byte_level, "!" + scalar + "!") == 1:
        kind = 0
    else:
        kind = SPACE
    return kind | (NUMERIC if pieces(digits, "a" + scalar + "a") == 3 else 0)


ranges = []
for value in range(0x110000):
    kind = 0 if 0xD800 <= value < 0xE000 else class_of(chr(value))
    if kind == 0:
        continue
    if ranges and ranges[-1][2] == kind and ranges[-1][1] == value:
        ranges[-1][1] = value + 1
    else:
        ranges.append([value, value + 1, kind])

numbers = []
for start, end, kind in ranges:
    numbers += [f"0x{start:X}", f"0x{(end - start) << 3 | kind:X}"]
lines, line = [], "       "
for number in numbers:
    if len(line) + len(number) + 2 > 108:
        lines.append(line)
        line = "       "
    line += f" {number},"
lines.append(line)

output = pathlib.Path(__file__).parent.parent / "Sources/WinnowText/ScalarClassRanges.swift"
output.write_text(
    f"""// Made by Tools/make-scalar-classes.py from tokenizers {tokenizers.__version__}; do not edit.

extension ScalarClass {{
    /// Pairs of a first scalar and (count << 3 | class bits), ascending; scalars in no range have class 0.
    static let ranges: [UInt32] = [
"""
    + "\n".join(lines)
    + """
    ]
}
"""
)
