"""Compares Winnow's token ids with Hugging Face tokenizers' on megabytes of mixed text.

  python3 Tools/compare-tokenizers.py --winnow .build/release/winnow --model M [--folder HF_FOLDER] [--megabytes 8]

--model is what Winnow tokenizes with (a GGUF file or a folder); --folder holds the tokenizer.json for tokenizers
(default: the model itself). Broken UTF-8 is decoded first as Python does: one U+FFFD for each ill-formed part.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from mixed_text import broken_bytes, mixed_text  # noqa: E402


def texts(megabytes):
    size = int(megabytes * 1e6)
    yield "mixed text", mixed_text(1, size).encode("utf-8")
    yield "broken UTF-8", broken_bytes(2, size // 4)
    code = b"".join(p.read_bytes() for p in sorted(pathlib.Path(json.__file__).parent.parent.glob("*.py")))
    yield "Python's library", code[:size]
    yield "one letter, 1 MB", b"a" * 1_000_000
    yield "spaces and line ends, 1 MB", (b" " * 7 + b"\n\n\r\n\t" + b" ") * 77_000


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--winnow", required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--folder")
    options.add_argument("--megabytes", type=float, default=8)
    given = options.parse_args()
    theirs = tokenizers.Tokenizer.from_file(f"{given.folder or given.model}/tokenizer.json")
    failures = 0
    for name, data in texts(given.megabytes):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            answer = subprocess.run(
                [given.winnow, "tokenize", "--model", given.model, "--file", file.name, "--json"],
                capture_output=True, check=True)
        ours = json.loads(answer.stdout)["ids"]
        text = data.decode("utf-8", "replace")
        start = time.perf_counter()
        expected = theirs.encode(text, add_special_tokens=False).ids
        seconds = time.perf_counter() - start
        same = ours == expected
        failures += not same
        print(f"{name}: {len(data)} bytes, {len(expected)} ids, {'equal' if same else 'DIFFERENT'}"
              f" ({len(data) / seconds / 1e6:.2f} MB/s in tokenizers)", flush=True)
        if not same:
            place = next((i for i, pair in enumerate(zip(ours, expected)) if pair[0] != pair[1]), min(len(ours), len(expected)))
            print("  at", place, ours[place - 3:place + 5], expected[place - 3:place + 5])
            print("  around", repr(theirs.decode(expected[max(place - 3, 0):place + 5], skip_special_tokens=False)))
    sys.exit(1 if failures else 0)


main()
