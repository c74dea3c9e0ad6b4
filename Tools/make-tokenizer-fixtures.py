#!/usr/bin/env python3
"""Writes Tests/Fixtures/tokenizers/<kind>.json: a small tokenizer of each kind, trained here, and ids of texts.

    pip install tokenizers==0.23.3
    python3 Tools/make-tokenizer-fixtures.py
"""
import json
import pathlib

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from mixed_text import mixed_text

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "Hello, world!", "Hello  world  ", "\n", " \n a\n\n", "The model's weights are sparse.",
    "don't stop", "naïve façade e\u0301 Ａ ﬁ ½", "ÀÉÎ ÑÕ Straße İ", "日本語 한국어 \u1112\u1161\u11ab", "👍🏽 x👩‍👩‍👧", "<s>Hello</s> x",
    "<tool> y<tool>z", "1234 5,678.90", "\u0000\u0001\u200b\ufeff\u00a0x", "▁x ▁ y", "unaffordable weights of language",
    "①ﬃ㍿ℌ ﷺ Å\u3000ｱﾞ ² ǆ ﬆ\u0301", "q\u0323\u0307 \u1e0b\u0323 \u0958 \u2126 가\u11a8", "a" * 120, "x\tx\r\ny", "\u3000。\u2028", "'", "<0x41> <s",
]
TEXTS += [mixed_text(seed, 60) for seed in range(2000, 2012)]
CORPUS = [mixed_text(seed, 400) for seed in range(40)] + [
    "The weights of a sparse language model are mostly zero, and it's faster. Hello, world! " * 3,
    "A language model gives each word a probability; unaffordable models don't help."] * 5
# Unigram models need a token for each character: fewer scripts.
SMALL = CORPUS[:3] + CORPUS[-10:]
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
OUTPUT = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/tokenizers"


def write(name, tokenizer):
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        case = {"text": text, "ids": ids}
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        if decoded != text:
            case["decoded"] = decoded
        cases.append(case)
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{name}.json"
    value = {"tokenizer": json.loads(tokenizer.to_str()), "cases": cases}
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    print(path.name, path.stat().st_size, "bytes", tokenizer.get_vocab_size(), "tokens")


def llama(normalizer, pre_tokenizer, name):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=640, special_tokens=SPECIAL + BYTES, limit_alphabet=120, show_progress=False, max_token_length=12)
    split = [piece for text in CORPUS for piece in text.split("\n")]
    # Trained on words: without this, the trainer takes each text for one.
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(split, trainer)
    model = json.loads(trained.to_str())["model"]
    value = json.loads(tokenizer.to_str())
    value["model"] = model
    # SentencePiece's own tokens of bytes are no added tokens.
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    write(name, tokenizer)


llama(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, "llama-prepend")
llama(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), "llama-metaspace")
llama(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"), "gemma")

unigram = Tokenizer(models.Unigram())
unigram.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
unigram.pre_tokenizer = pre_tokenizers.Metaspace()
unigram.decoder = decoders.Metaspace()
unigram.train_from_iterator(SMALL, trainers.UnigramTrainer(
    vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False))
write("unigram", unigram)

unigram.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
unigram.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
write("unigram-words", unigram)

for name, options in [("bert", {}), ("bert-cased", {"lowercase": False, "strip_accents": False})]:
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer(**options)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece(cleanup=False)
    bert.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=450, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>"], limit_alphabet=200,
        show_progress=False))
    write(name, bert)

for name, normalizer in [
        ("bytes-nfc", normalizers.NFC()), ("bytes-nfd", normalizers.NFD()),
        ("bytes-nfkc", normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])), ("bytes-nfkd", normalizers.NFKD())]:
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizer
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space="k" in name)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    write(name, bpe)
