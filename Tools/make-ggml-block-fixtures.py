#!/usr/bin/env python3
"""Writes Tests/Fixtures/ggml-blocks.txt: random blocks of GGUF's formats, and what the gguf package makes of them.

    pip install numpy gguf
    python3 Tools/make-ggml-block-fixtures.py

A line a format: its name, a row of 512 weights as the file has it, the weights as float32; both in hexadecimal.
"""
import pathlib

import numpy
from gguf import GGMLQuantizationType as Type, quants

# Where the float16 numbers of a block stand; everything else may be any byte.
HALVES = {
    "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
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
    weights = quants.dequantize(blocks.reshape(-1), kind).astype(numpy.float32)
    assert numpy.isfinite(weights).all()
    lines.append(f"{name.lower()} {blocks.tobytes().hex()} {weights.tobytes().hex()}\n")
target = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/ggml-blocks.txt"
target.write_text("".join(lines))
print(target, target.stat().st_size, "bytes")
