#!/usr/bin/env python3
"""Writes Tests/Fixtures/ggml-blocks.txt: random blocks of GGUF's formats, and what the gguf package makes of them;
and Tests/Fixtures/ggml-hashes.txt: for many blocks more, which the test makes too, the SHA-256 of their weights.

    pip install numpy gguf
    python3 Tools/make-ggml-block-fixtures.py

A line a format: its name, a row of 512 weights as the file has it, the weights as float32; both in hexadecimal.
"""
import hashlib
import pathlib

import numpy
from gguf import GGMLQuantizationType as Type, quants

# Where the float16 numbers of a block stand; everything else may be any byte.
HALVES = {
    "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
    "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "NVFP4": [],
}
draw = numpy.random.default_rng(5)
lines = []
for name, places in HALVES.items():
    kind = Type[name]
    width, size = quants.GGML_QUANT_SIZES[kind]
    blocks = draw.integers(0, 256, (512 // width, size), dtype=numpy.uint8)
    for place in places:
        blocks[:, place:place + 2] = draw.normal(0, 0.05, (len(blocks), 1)).astype(numpy.float16).view(numpy.uint8)
    if name == "MXFP4":
        # The two subnormal scales too, but none that overflows.
        blocks[:, 0] = draw.integers(100, 140, len(blocks))
        blocks[:2, 0] = [0, 1]
    if name == "IQ1_M":
        # Its one scale is spread over the top four bits of four words.
        halves = draw.normal(0, 0.05, len(blocks)).astype(numpy.float16).view(numpy.uint16)
        for place in range(4):
            top = (halves >> (4 * place) & 15).astype(numpy.uint8) << 4
            blocks[:, 49 + 2 * place] = blocks[:, 49 + 2 * place] & 15 | top
    if name == "NVFP4":
        # Scales of zero, subnormal, NaN, and with a sign that does not count.
        blocks[:3, 0:4] = [[0, 1, 7, 0x7F], [0x80, 0x87, 0xFF, 8], [0x38, 0x7E, 0xB8, 15]]
    weights = quants.dequantize(blocks.reshape(-1), kind).astype(numpy.float32)
    assert numpy.isfinite(weights).all()
    lines.append(f"{name.lower()} {blocks.tobytes().hex()} {weights.tobytes().hex()}\n")
target = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/ggml-blocks.txt"
target.write_text("".join(lines))
print(target, target.stat().st_size, "bytes")


def generated(count):
    """Bits 32 to 39 of each state of a generator that the test has too."""
    state, result = 1, numpy.empty(count, numpy.uint8)
    for index in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        result[index] = state >> 32 & 255
    return result


lines = []
for name, places in HALVES.items():
    kind = Type[name]
    width, size = quants.GGML_QUANT_SIZES[kind]
    blocks = generated(262144 // width * size).reshape(-1, size)
    for place in places:
        blocks[:, place:place + 2] = [0x00, 0x2C]
    if name == "IQ1_M":
        blocks[:, 49::2] = blocks[:, 49::2] & 15 | numpy.array([0x00, 0x00, 0xC0, 0x20], numpy.uint8)
    if name == "MXFP4":
        blocks[:, 0] = blocks[:, 0] >> 2 | 64
    weights = quants.dequantize(blocks.reshape(-1), kind).astype(numpy.float32)
    assert numpy.isfinite(weights).all()
    lines.append(f"{name.lower()} {hashlib.sha256(weights.tobytes()).hexdigest()}\n")
target = target.with_name("ggml-hashes.txt")
target.write_text("".join(lines))
print(target, target.stat().st_size, "bytes")
