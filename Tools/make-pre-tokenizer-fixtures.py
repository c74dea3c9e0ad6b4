#!/usr/bin/env python3
"""Writes Tests/Fixtures/pre-tokenizers.json: how Hugging Face's tokenizers cut texts into words.

For each text and each pre-tokenizer of Sources/WinnowText/PreTokenizer.swift, the words' lengths in scalars.

    pip install tokenizers
    python3 Tools/make-pre-tokenizer-fixtures.py
"""
import json
import pathlib

from tokenizers import Regex, pre_tokenizers
from mixed_text import SPACES, mixed_text

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|"
UPPER, LOWER, PREFIX = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", r"[^\r\n\p{L}\p{N}]?"
CASED_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
HAN = "[一-龥ࠀ-一가-\ud7ff]+"
LETTERS = (  # DeepSeek's, copied from its tokenizer.json.
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7d"
    "ᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏"
    "𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"


def sequence(*parts, regex=False):
    """Expressions and pre-tokenizers in their order, then bytes, with GPT-2's expression or without."""
    steps = [pre_tokenizers.Split(Regex(part), "isolated") if isinstance(part, str) else part for part in parts]
    return pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)])


EACH_DIGIT = pre_tokenizers.Digits(individual_digits=True)
RULES = {
    "gpt-2": sequence(regex=True),
    "smollm": sequence(EACH_DIGIT, regex=True),
    "llama-bpe": sequence(LLAMA + r"\p{N}{1,3}" + REST),
    "qwen2": sequence(LLAMA + r"\p{N}" + REST),
    "qwen35": sequence(
        CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}" + REST.replace(r"\p{L}\p{N}", r"\p{L}\p{M}\p{N}")),
    "ufakzeka": sequence(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST),
    "seed-coder": sequence(LLAMA + r"\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"),
    "bailingmoe": sequence(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"),
    "laguna": sequence(r"[^\n]+|[\n]+", LLAMA + r"\p{N}" + REST),
    "minicpm5": sequence(r"\p{N}{1,3}", LLAMA + r"\p{N}+" + REST),
    "gpt-4o": sequence(
        f"{PREFIX}{UPPER}*{LOWER}+{CONTRACTIONS}?|{PREFIX}{UPPER}+{LOWER}*{CONTRACTIONS}?" + r"|\p{N}{1,3}" + CASED_REST),
    "tekken": sequence(f"{PREFIX}{UPPER}*{LOWER}+|{PREFIX}{UPPER}+{LOWER}*" + r"|\p{N}" + CASED_REST),
    "deepseek-llm": sequence(
        "[\r\n]", r"\s?" + LETTERS, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", HAN, EACH_DIGIT),
    "deepseek-coder": sequence("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, EACH_DIGIT),
    "deepseek-v3": sequence(
        r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"),
    "falcon": pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.Split(Regex(GPT2), "isolated"), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]),
    "default": pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Split(Regex(GPT2), "isolated"),
        pre_tokenizers.Split(Regex(r"\p{N}+"), "isolated"), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]),
    "poro-chat": sequence(BLOOM),
    "viking": sequence(BLOOM, r"\p{N}"),
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
TEXTS += ["helloWorld HELLOworld Straße ÀÉé aBC ABc 中ABC a中bC ʰA\u0301b\u0301 \u0301\u0301x !\u0301A 'sA X'RE/\n/", "\u0001\u0001abc #abc $x a\u3000\u3000。b x  \n", "a\n \n  b  "]
TEXTS += [mixed_text(seed, 300) for seed in range(1000, 1016)]

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
