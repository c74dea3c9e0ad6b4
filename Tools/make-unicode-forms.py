#!/usr/bin/env python3
"""Writes Sources/WinnowText/UnicodeFormTable.swift: canonical decompositions, and which of them compose again.

The answers are those of Hugging Face `tokenizers`. Needs: pip install tokenizers==0.23.3.

    python3 Tools/make-unicode-forms.py
"""
import pathlib
import unicodedata

import tokenizers
from tokenizers import normalizers

nfd, nfc = normalizers.NFD(), normalizers.NFC()
numbers = []
for value in range(0x110000):
    if 0xD800 <= value < 0xE000 or 0xAC00 <= value < 0xD7A4:  # Hangul syllables are computed.
        continue
    scalar = chr(value)
    full = nfd.normalize_str(scalar)
    if full == scalar:
        continue
    # One step at a time: the first of two may decompose further.
    parts = [chr(int(part, 16)) for part in unicodedata.decomposition(scalar).split()] or list(full)
    assert 1 <= len(parts) <= 2 and nfd.normalize_str("".join(parts)) == full, hex(value)
    composes = len(parts) == 2 and nfc.normalize_str(scalar) == scalar
    numbers += [f"0x{value << 1 | composes:X}", f"0x{ord(parts[0]):X}", f"0x{ord(parts[1]) if len(parts) > 1 else 0:X}"]

lines, line = [], "       "
for number in numbers:
    if len(line) + len(number) + 2 > 108:
        lines.append(line)
        line = "       "
    line += f" {number},"
lines.append(line)
output = pathlib.Path(__file__).parent.parent / "Sources/WinnowText/UnicodeFormTable.swift"
output.write_text(
    f"""// Made by Tools/make-unicode-forms.py from tokenizers {tokenizers.__version__}; do not edit.

extension UnicodeForm {{
    /// Triples of (scalar << 1 | whether it is composed again), the first of its parts, and the second or 0.
    static let decompositions: [UInt32] = [
"""
    + "\n".join(lines)
    + """
    ]
}
"""
)
print(len(numbers) // 3, "decompositions")
