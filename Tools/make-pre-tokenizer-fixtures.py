#!/usr/bin/env python3
"""Writes Tests/Fixtures/pre-tokenizers.json: how Hugging Face's tokenizers cut texts into words.

For each text and each rule of Sources/WinnowText/PreTokenizer.swift, the words' lengths in scalars.

    pip install tokenizers
    python3 Tools/make-pre-tokenizer-fixtures.py
"""
import json
import pathlib

from tokenizers import Regex, pre_tokenizers
from mixed_text import SPACES, mixed_text

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(expression):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(expression), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


RULES = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "llama-bpe": split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST),
    "qwen2": split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST),
}
TEXTS = [
    "a", " ", "  ", " a", "  a", "a ", "a  ", "a  b", "\n", "\n\n a", " \n a", "a\r\n\r\nb", "\t\tx", "\u00a0x", "\u3000\u3000x",
    "it's we're they've I'm you'll he'd isn't", "IT'S WE'RE 'S 'ſ 'LL", "'", "''", "' s", "'re", "'r", "x'", "don't'", "'sx",
    "1234567", "12 345 6789", "a1b22c333d4444", "٣٤٥ १२३ Ⅷ ½ ²", "3.14e-5", "$12,345.67",
    "Hello, world!", "(a+b)*c", "...---", " ...", "  ...", "!\n", "! \n\n", "?\r\nx", "a_b-c/d", "#include <x>", "--flag=1",
    "naïve e\u0301 e\u0301\u0302x", "日本語 テキスト", "한국어", "العربية، نص", "हिन्दी पाठ", "ภาษาไทย", "ǅ ʰ ª º",
    "👩‍👩‍👧 👍🏽 🇩🇪", "a👍b", "\u200b\u200d\ufeff", "\u0000\u001f\u007f", "\u0085\u2028\u2029\u180e", "𝒜𝟘 𐐀 𠀀", "\U0010fffd\ue000",
]
TEXTS += [f"x{chr(space)}{chr(space)}y" for space in sorted(set(SPACES))]
TEXTS += [mixed_text(seed, 300) for seed in range(1000, 1040)]

cases = []
for text in TEXTS:
    words = {}
    for name, rule in RULES.items():
        found = rule.pre_tokenize_str(text)
        assert [a for _, (a, _) in found][1:] == [b for _, (_, b) in found][:-1], text
        words[name] = [end - start for _, (start, end) in found]
    cases.append({"text": text, "words": words})
out = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/pre-tokenizers.json"
out.write_text(json.dumps(cases, ensure_ascii=True, separators=(",", ":")) + "\n")
print(out, out.stat().st_size, "bytes,", len(cases), "texts")
