#!/usr/bin/env python3
"""Writes Sources/CWinnow/scalar/grids.c: the codebooks of GGUF's IQ formats, from the tables of the gguf package.

    pip install numpy gguf
    python3 Tools/make-iq-grids.py

An entry is one number of 16 bits: the places of its values in the format's short list, the first value lowest, two
bits each where the list has three values and three bits each where it has eight.
"""
import pathlib

import numpy
from gguf import GGMLQuantizationType as Type, quants

GRIDS = [("IQ1_S", "wn_grid_iq1"), ("IQ2_XXS", "wn_grid_iq2_xxs"), ("IQ2_XS", "wn_grid_iq2_xs"),
         ("IQ2_S", "wn_grid_iq2_s"), ("IQ3_XXS", "wn_grid_iq3_xxs"), ("IQ3_S", "wn_grid_iq3_s")]
lines = [
    "// Codebooks of GGUF's IQ formats: numbers chosen by ggml (ggml-common.h), as the `gguf` package lists them",
    "// (quants.py). Written by Tools/make-iq-grids.py; a value takes two bits (IQ1, IQ2) or three (IQ3), lowest first.",
    '#include "blocks.h"',
]
for name, symbol in GRIDS:
    kind = quants._type_traits[Type[name]]
    kind.init_grid()
    values = sorted(kind.grid_map)
    bits = 2 if len(values) == 3 else 3
    places = numpy.searchsorted(values, kind.grid.reshape(kind.grid_shape))
    assert (numpy.array(values)[places] == kind.grid.reshape(kind.grid_shape)).all()
    entries = (places << (bits * numpy.arange(kind.grid_shape[1]))).sum(axis=1)
    assert entries.max() < 1 << 16
    lines += ["", f"const uint16_t {symbol}[{len(entries)}] = {{"]
    for start in range(0, len(entries), 16):
        lines.append("    " + ", ".join(f"{entry}" for entry in entries[start:start + 16]) + ",")
    lines.append("};")
target = pathlib.Path(__file__).parent.parent / "Sources/CWinnow/scalar/grids.c"
target.write_text("\n".join(lines) + "\n")
print(target, target.stat().st_size, "bytes")
