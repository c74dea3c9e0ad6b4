#!/usr/bin/env python3
"""Writes Sources/WinnowText/UnicodeFormTable.swift: canonical decompositions, and which of them compose again;
and Sources/WinnowText/UnicodeCompatibilityTable.swift, what the compatibility forms add.

The answers are those of Hugging Face `tokenizers`. Needs: pip install tokenizers==0.23.3.

    python3 Tools/make-unicode-forms.py
"""
import unicodedata

from tokenizers import normalizers
from swift_table import write

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
    numbers += [value << 1 | composes, ord(parts[0]), ord(parts[1]) if len(parts) > 1 else 0]

write(
    "UnicodeFormTable.swift", "make-unicode-forms.py", "UnicodeForm",
    "Triples of (scalar << 1 | whether it is composed again), the first of its parts, and the second or 0.",
    "decompositions", numbers)
print(len(numbers) // 3, "decompositions")

# What form KD makes of scalars beyond form D, runs of single scalars together.
nfkd = normalizers.NFKD()
entries = []
for value in range(0x110000):
    if 0xD800 <= value < 0xE000:
        continue
    parts = [ord(part) for part in nfkd.normalize_str(chr(value))]
    if parts == [ord(part) for part in nfd.normalize_str(chr(value))]:
        continue
    last = entries[-1] if entries else None
    if last and len(parts) == 1 == len(last[2]) and last[0] + last[1] == value and last[2][0] + last[1] == parts[0]:
        last[1] += 1
    else:
        entries.append([value, 1, parts])
numbers = []
for value, run, parts in entries:
    numbers += [value, run << 8 | len(parts), *parts]
write(
    "UnicodeCompatibilityTable.swift", "make-unicode-forms.py", "UnicodeForm",
    "Records of a scalar, (scalars in a run << 8 | count of parts), and the parts of the first of the run.",
    "compatibility", numbers)
print(len(entries), "runs of compatibility decompositions")
