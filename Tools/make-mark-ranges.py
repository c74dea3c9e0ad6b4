#!/usr/bin/env python3
"""Writes Sources/WinnowText/MarkRanges.swift: the scalars that BERT's normalizer and `StripAccents` take for marks.

Their edition of Unicode is older than the one of other normalizers, so that `tokenizers` itself is asked, scalar by
scalar. Needs: pip install tokenizers==0.23.3.

    python3 Tools/make-mark-ranges.py
"""
from tokenizers import normalizers
from swift_table import write

bert = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
accents, nfd = normalizers.StripAccents(), normalizers.NFD()
values = [value for value in range(0x110000) if not 0xD800 <= value < 0xE000]


def pairs(found):
    numbers = []
    for value in found:
        if numbers and numbers[-1] == value - 1:
            numbers[-1] = value
        else:
            numbers += [value, value]
    return numbers


# What form D takes apart is never asked for.
nonspacing = pairs(v for v in values if nfd.normalize_str(chr(v)) == chr(v) and bert.normalize_str(f"a{chr(v)}a") == "aa")
marks = pairs(v for v in values if accents.normalize_str(f"a{chr(v)}a") == "aa")
write("MarkRanges.swift", "make-mark-ranges.py", "MarkRanges", "Pairs of the first and last scalar of runs, ascending.",
      "nonspacing", nonspacing)
write("MarkRanges+All.swift", "make-mark-ranges.py", "MarkRanges", "Pairs of the first and last scalar of runs, ascending.",
      "all", marks)
print(len(nonspacing) // 2, "and", len(marks) // 2, "runs")
