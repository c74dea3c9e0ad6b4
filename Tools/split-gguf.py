#!/usr/bin/env python3
"""Cuts a GGUF file into parts as llama.cpp's gguf-split does, for the tests.

    pip install gguf
    python3 Tools/split-gguf.py tied-q8_0.gguf OUTPUT 3      # OUTPUT-00001-of-00003.gguf ...

Regenerates Tests/Fixtures/tiny-llama/split-0000N-of-00003.gguf from tied-q4_0.gguf.
"""
import sys

import gguf

source, output, count = gguf.GGUFReader(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tensors = list(source.tensors)
for part in range(count):
    writer = gguf.GGUFWriter(f"{output}-{part + 1:05}-of-{count:05}.gguf", arch="llama")
    # The writer names the architecture by itself; parts after the first say nothing of the model.
    writer.kv_data[0].clear()
    if part == 0:
        for field in source.fields.values():
            if field.name.startswith("GGUF."):
                continue
            kind = field.types[0]
            if kind == gguf.GGUFValueType.ARRAY:
                writer.add_key_value(field.name, field.contents(), kind, sub_type=field.types[-1])
            else:
                writer.add_key_value(field.name, field.contents(), kind)
    writer.add_uint16("split.no", part)
    writer.add_uint16("split.count", count)
    writer.add_int32("split.tensors.count", len(tensors))
    for tensor in tensors[part * len(tensors) // count:(part + 1) * len(tensors) // count]:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
