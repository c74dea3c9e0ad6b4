#!/usr/bin/env python3
"""Checks that the gguf package reads what `winnow convert --to gguf` writes, and that its own quantizer agrees.

    pip install numpy safetensors gguf
    python3 Tools/check-gguf-writing.py .build/debug/winnow

Converts Tests/Fixtures/tiny-llama/tied to each format that can be written and compares every matrix that keeps its
row order, byte for byte.
"""
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
from safetensors.numpy import load_file

SOURCE = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/tiny-llama/tied"
NAMES = {"attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_up": "mlp.up_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_down": "mlp.down_proj"}
weights = {}
for shard in SOURCE.glob("*.safetensors"):
    weights.update(load_file(shard))
for form in ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"]:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{form}.gguf"
        subprocess.run([sys.argv[1], "convert", "--model", SOURCE, "--to", "gguf", "--format", form, "--output", path,
                        "--quiet"], check=True, stdout=subprocess.DEVNULL)
        checked = 0
        for tensor in gguf.GGUFReader(path).tensors:
            parts = tensor.name.split(".")
            if parts[0] != "blk" or parts[2] not in NAMES:
                continue
            assert tensor.tensor_type.name.lower() == form, f"{tensor.name} is {tensor.tensor_type.name}"
            source = weights[f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight"].astype(numpy.float32)
            expected = numpy.asarray(gguf.quants.quantize(source, tensor.tensor_type)).view(numpy.uint8).ravel()
            assert (numpy.asarray(tensor.data).view(numpy.uint8).ravel() == expected).all(), f"{form}: {tensor.name}"
            checked += 1
        print(f"{form}: {checked} matrices equal byte for byte")
