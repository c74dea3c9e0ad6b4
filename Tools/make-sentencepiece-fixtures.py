#!/usr/bin/env python3
"""Writes Tests/Fixtures/tokenizers/spm-<kind>.json: small SentencePiece models, trained here, and ids of texts.

    pip install sentencepiece==0.2.3
    python3 Tools/make-sentencepiece-fixtures.py

Also rank-file.json: a rank file of tiktoken made here, and ids by the `tiktoken` package (pip install tiktoken).
"""
import base64
import json
import pathlib
import tempfile

import sentencepiece
import tiktoken
from mixed_text import mixed_text

OUTPUT = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/tokenizers"
CORPUS = ["The weights of a sparse language model are mostly zero, and it's faster. Hello, world!",
          "A language model gives each word a probability; unaffordable models don't help.", "naïve façade, ½ ﬁve №7",
          "the table <table> has\ttabs", "日本語のモデル 日本", "x = [1, 2, 34, 567]  # a comment"] * 4
TEXTS = ["", " ", "  ", "   a  b ", "\t", "Hello, world!", "The model's weights  are sparse.", " <table>the<table> ", "naïve ﬁﬂ ½ №",
         "ﬁ <s>x</s> <unk>", "日本語 日本 ▁x", "e\u0301 Ａ\u3000b", "1234567", "\u00a0a\u200b", "the" * 30, "\x00a\x01", "👍🏽"]
TEXTS += [mixed_text(seed, 60) for seed in range(3000, 3014)]
KINDS = {
    "llama": dict(model_type="bpe", vocab_size=480, byte_fallback=True, normalization_rule_name="identity",
                  remove_extra_whitespaces=False),
    "gemma": dict(model_type="bpe", vocab_size=480, byte_fallback=True, normalization_rule_name="identity",
                  remove_extra_whitespaces=False, add_dummy_prefix=False, user_defined_symbols=["▁▁", "<table>", "the", "\t"]),
    "words": dict(model_type="bpe", vocab_size=220, normalization_rule_name="identity", user_defined_symbols=["<table>"]),
    "unigram": dict(model_type="unigram", vocab_size=200, normalization_rule_name="identity",
                    user_defined_symbols=["<table>", "the"]),
    "suffix": dict(model_type="unigram", vocab_size=400, byte_fallback=True, normalization_rule_name="identity",
                   treat_whitespace_as_suffix=True),
    # A map of its own: the ones that come with SentencePiece are larger than a fixture may be.
    "mapped": dict(model_type="unigram", vocab_size=190),
}
RULES = [("ﬁ", "fi"), ("½", "1/2"), ("\t", " "), ("\u3000", " "), ("Ａ", "A"), ("e\u0301", "é"), ("\u200b", ""), ("№", " no ")]


def train(name, options, folder):
    text = folder / "corpus.txt"
    text.write_text("\n".join(CORPUS), "utf-8")
    if name == "mapped":
        rules = folder / "rules.tsv"
        rules.write_text("".join(
            " ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n"
            for old, new in RULES), "utf-8")
        options = {**options, "normalization_rule_tsv": str(rules)}
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / name), hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
    return (folder / f"{name}.model").read_bytes()


def write(name, value):
    path = OUTPUT / f"{name}.json"
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    print(path.name, path.stat().st_size, "bytes")


with tempfile.TemporaryDirectory() as place:
    for kind, options in KINDS.items():
        model = train(kind, options, pathlib.Path(place))
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        cases = []
        for text in TEXTS:
            ids = processor.encode(text)
            case = {"text": text, "ids": ids}
            # What has no piece is spelled in a way of its own.
            if processor.unk_id() not in ids:
                case["decoded"] = processor.decode(ids)
            cases.append(case)
        write(f"spm-{kind}", {"model": base64.b64encode(model).decode(), "cases": cases})

ranks = {bytes([byte]): byte for byte in range(256)}
for word in ["th", "the", " t", " the", "in", "ing", "er", " a", "an", " an", "and", " and", "ll", "Hello", "le", "re", "es", "  ", "12",
             "123", "wor", "or", "ld", "world", " world", "\n\n", "日", "日本", "本", "é", "aa", "aaa", "aaaa"]:
    ranks.setdefault(word.encode(), len(ranks))
    for size in range(2, len(word.encode())):
        ranks.setdefault(word.encode()[:size], len(ranks))
LLAMA = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
encoding = tiktoken.Encoding("fixture", pat_str=LLAMA, mergeable_ranks=ranks, special_tokens={})
lines = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())
cases = [{"text": text, "ids": encoding.encode(text)} for text in TEXTS]
write("rank-file", {"lines": lines, "cases": cases})
