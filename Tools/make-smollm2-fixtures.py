#!/usr/bin/env python3
"""Writes what tests on the real model compare with: Tests/Fixtures/smollm2-ids.json and smollm2-logits.json.

    pip install numpy torch transformers tokenizers gguf
    winnow convert --model smollm2-135m-q4_1 --to hf --output FOLDER
    python3 Tools/make-smollm2-fixtures.py FOLDER MODEL.gguf

smollm2-ids.json     ids of texts by Hugging Face's tokenizers; for each chunk of mixed text (mixed_text.py) the
                     number of ids and their FNV-1a hash (4 bytes each, little-endian)
smollm2-logits.json  `ids`, and the largest logits at some positions, by transformers in float32 on the weights that
                     the gguf package expands
"""
import json
import pathlib
import sys

import gguf
import numpy
import tokenizers
import torch
import transformers
from mixed_text import broken_bytes, mixed_text

folder, path = sys.argv[1:]
fixtures = pathlib.Path(__file__).parent.parent / "Tests/Fixtures"
tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")


def encode(text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def fingerprint(ids):
    value = 0xCBF29CE484222325
    for id in ids:
        for byte in id.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"


def chunks(make, seeds, size):
    result = []
    for seed in seeds:
        ids = encode(make(seed, size))
        result.append({"seed": seed, "bytes": size, "count": len(ids), "hash": fingerprint(ids)})
    return result


SAMPLES = [
    "", "a", " ", "\n\n", "Hello, world!", "The wheat: 42 🌾é<|im_end|>", "it's 1234567 o'clock\t\t\n", "<|im_start|>user\nhi<|im_end|>\n",
    "func winnow(_ x: Int) -> Int {\n    return x &+ 0x1F\n}\n", "日本語のテキスト", "Привет, мир", "مرحبا بالعالم", "👩‍👩‍👧 👍🏽",
    "naïve e\u0301 \u1e9b\u0323", "\u0000\u001f\u0085\u2028", "x" * 100, " " * 33 + "x", "<|im_start<|im_end|>|>",
]
ids = {
    "samples": [{"text": text, "ids": encode(text)} for text in SAMPLES],
    "mixed": chunks(mixed_text, range(100, 116), 65536),
    "broken": chunks(lambda seed, size: broken_bytes(seed, size).decode("utf-8", "replace"), range(200, 208), 32768),
}
(fixtures / "smollm2-ids.json").write_text(json.dumps(ids, separators=(",", ":")) + "\n")

model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
with torch.no_grad():
    for name, parameter in model.named_parameters():
        stem, _, suffix = name.rpartition(".")
        tensor = stored[names.get_name(stem) + "." + suffix]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        for key, count in heads.items():
            if key in tensor.name:
                values = values.reshape(count, values.shape[0] // count // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)
        parameter.copy_(torch.from_numpy(values))
    text = mixed_text(300, 300) + (
        "Winnowing separates the grain from the chaff. A fan, a basket or the wind does it: what is light is carried "
        "away, what is heavy falls. The word is older than the machine, and the machine older than the engine that "
        "drives it today. In 1737 a Scot brought a fanner home from the Netherlands; within sixty years every farm of "
        "some size had one. ") * 3
    tokens = encode(text)[:400]
    logits = model(torch.tensor([tokens])).logits[0].double()
positions = []
for position in [0, 1, 2, *range(7, len(tokens), 13), len(tokens) - 1]:
    best = torch.topk(logits[position], 8)
    positions.append({
        "position": position, "logSumExp": round(float(torch.logsumexp(logits[position], 0)), 6),
        "ids": best.indices.tolist(), "logits": [round(value, 6) for value in best.values.tolist()],
    })
(fixtures / "smollm2-logits.json").write_text(json.dumps({"ids": tokens, "positions": positions}, separators=(",", ":")) + "\n")
for name in ["smollm2-ids.json", "smollm2-logits.json"]:
    print(name, (fixtures / name).stat().st_size, "bytes")
