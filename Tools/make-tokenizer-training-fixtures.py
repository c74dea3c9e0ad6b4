#!/usr/bin/env python3
"""Makes Tests/Fixtures/trained-tokenizers.json: what tokenizers' BpeTrainer learns from texts.

Run with tokenizers, from the repository's root:

    python Tools/make-tokenizer-training-fixtures.py Tests/Fixtures/trained-tokenizers.json

A case's texts are files of Sources/CWinnowTexts/texts, or texts that stand in the case itself.
"""
import importlib.util
import json
import pathlib
import sys

TOOLS = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("compare", TOOLS / "compare-tokenizer-training.py")
compare = importlib.util.module_from_spec(spec)
sys.path.insert(0, str(TOOLS))
spec.loader.exec_module(compare)

WORDS = "roses are red voilets are blue BERT is big and so is GPT-2"
REPEATED = "aaaaaaaa aaaa aaa aa abababab babab abcabcabc bcabc zzzzzzz\n\n\n   aaa\n aaab  aab"
CASES = [
    dict(files=["calibration.txt"], cut="gpt-2", size=1200, frequency=2),
    dict(files=["scoring.txt"], cut="smollm", size=800, frequency=40),
    # Special tokens that are also what merges make.
    dict(files=["calibration.txt", "scoring.txt"], cut="llama-bpe", size=700, frequency=0, alphabet=False,
         special=["<s>", "the", "e", "</s>"]),
    dict(texts=[WORDS], cut="gpt-2", size=300, frequency=2, alphabet=False, special=[]),
    dict(texts=[WORDS, REPEATED, WORDS], cut="gpt-2", size=1000, frequency=0),
    dict(texts=[compare.mixed_text.mixed_text(3, 6000)], cut="llama-bpe", size=600, frequency=2),
]


def main(path):
    texts = pathlib.Path("Sources/CWinnowTexts/texts")
    for case in CASES:
        given = case.get("texts") or [(texts / name).read_bytes().decode() for name in case["files"]]
        case.setdefault("alphabet", True)
        case.setdefault("special", ["<|endoftext|>"])
        model = compare.train(given, case["size"], case["frequency"], case["cut"], case["alphabet"], case["special"])
        case["tokens"] = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
        case["merges"] = merges
    pathlib.Path(path).write_text(json.dumps(CASES, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main(sys.argv[1])
