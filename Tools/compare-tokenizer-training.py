#!/usr/bin/env python3
"""Trains a tokenizer with Winnow and with Hugging Face's tokenizers on the same texts and compares all of it.

    python Tools/compare-tokenizer-training.py WINNOW TEXT... [--vocabulary-size N] [--min-frequency N]
        [--pre-tokenizer gpt-2] [--repeats 3] [--mixed BYTES]

Compared: tokens with their ids, merges, the ids that each of the two files gives for each text, read by tokenizers.
Prints the seconds of both, median of runs in turns, reading and pre-tokenizing included. --mixed adds that many bytes
of Tools/mixed_text.py. Texts are given to tokenizers whole.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mixed_text  # noqa: E402

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+")
CUTS = {
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "llama-bpe": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated"),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
}


def train(texts, size, frequency, cut, alphabet=True, special=("<|endoftext|>",)):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = CUTS[cut]()
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=frequency, special_tokens=list(special), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("winnow")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--vocabulary-size", type=int, default=8192)
    parser.add_argument("--min-frequency", type=int, default=2)
    parser.add_argument("--pre-tokenizer", default="gpt-2", choices=CUTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mixed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = list(options.texts)
        if options.mixed:
            path = pathlib.Path(folder) / "mixed.txt"
            path.write_bytes(mixed_text.mixed_text(7, options.mixed).encode())
            paths.append(str(path))
        output = pathlib.Path(folder) / "tokenizer"
        seconds = {"winnow": [], "tokenizers": []}
        for _ in range(options.repeats):
            start = time.perf_counter()
            subprocess.run(
                [options.winnow, "train-tokenizer", "--quiet", "--overwrite", "--vocabulary-size",
                 str(options.vocabulary_size), "--min-frequency", str(options.min_frequency), "--pre-tokenizer",
                 options.pre_tokenizer, "--output", str(output)] + [x for p in paths for x in ("--text", p)],
                check=True, stdout=subprocess.DEVNULL)
            seconds["winnow"].append(time.perf_counter() - start)
            start = time.perf_counter()
            texts = [pathlib.Path(p).read_bytes().decode() for p in paths]
            model = train(texts, options.vocabulary_size, options.min_frequency, options.pre_tokenizer)
            seconds["tokenizers"].append(time.perf_counter() - start)
        ours = json.loads((output / "tokenizer.json").read_text())["model"]
        merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in ours["merges"]]
        theirs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
        assert ours["vocab"] == model["vocab"], "vocabularies differ"
        assert merges == theirs, next((i, a, b) for i, (a, b) in enumerate(zip(merges, theirs)) if a != b)
        opened = Tokenizer.from_file(str(output / "tokenizer.json"))
        reference = Tokenizer(models.BPE(vocab=model["vocab"], merges=theirs))
        reference.pre_tokenizer = CUTS[options.pre_tokenizer]()
        reference.decoder = decoders.ByteLevel()
        reference.add_special_tokens(["<|endoftext|>"])
        for text in texts:
            ids = opened.encode(text).ids
            assert ids == reference.encode(text).ids, "ids differ"
            assert opened.decode(ids, skip_special_tokens=False) == text, "the text does not come back"
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        print(
            f"{sum(len(t.encode()) for t in texts)} bytes, {options.pre_tokenizer}: {len(ours['vocab'])} tokens, "
            f"{len(merges)} merges and all ids equal tokenizers {tokenizers.__version__}; "
            f"winnow {medians['winnow']:.2f} s, tokenizers {medians['tokenizers']:.2f} s, "
            f"ratio {medians['tokenizers'] / medians['winnow']:.1f}")


if __name__ == "__main__":
    main()
