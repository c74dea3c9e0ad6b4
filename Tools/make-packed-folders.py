#!/usr/bin/env python3
"""Makes Tests/Fixtures/packed: two matrices of a tiny model as other tools pack them, and the hash of what they are.

    pip install "compressed-tensors==0.14.0.1" torch safetensors       # the last that still writes the sparse formats
    pip install --no-deps auto-gptq==0.7.1                             # optional: checks the GPTQ files
    python3 Tools/make-packed-folders.py

NAME.safetensors holds `v_proj` [32, 64] and `down_proj` [64, 96] of block 0, written by compressed-tensors' own
compressors, or from the published layouts of GPTQ, AWQ and DeepSeek's fp8. packed.json has for each NAME the
`quantization_config` and the SHA-256 of every matrix as the same package unpacks it, in the type it unpacks to.
The tests lay such a file beside Tests/Fixtures/tiny-llama/tied and open the two as one folder.
"""
import hashlib
import importlib.util
import json
import pathlib

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.config import BitmaskConfig, Sparse24BitMaskConfig
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from safetensors.torch import save_file

MODULES = {"model.layers.0.self_attn.v_proj": (32, 64), "model.layers.0.mlp.down_proj": (64, 96)}
TARGET = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/packed"
ALL = {}


def weights(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {name: (torch.randn(shape, generator=generator) * 0.05).to(dtype) for name, shape in MODULES.items()}


def keep(name, config, tensors, unpacked):
    assert set(unpacked) == {module + ".weight" for module in MODULES}
    save_file({key: value.contiguous() for key, value in tensors.items()}, TARGET / f"{name}.safetensors")
    types_of = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
    ALL[name] = {"config": config, "weights": {
        key: {"dtype": types_of[value.dtype],
              "sha256": hashlib.sha256(value.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()}
        for key, value in unpacked.items()}}


# ---- compressed-tensors ------------------------------------------------------------------------------------------
def quantizers(weight, args, dtype):
    """Scales and zero points such that the largest weight of each block is met."""
    rows, columns = weight.shape
    if args.strategy == "tensor":
        blocks = weight.reshape(1, 1, -1)
    elif args.strategy == "channel":
        blocks = weight.reshape(rows, 1, columns)
    elif args.strategy == "block":
        high, wide = args.block_structure
        blocks = weight.reshape(rows // high, high, columns // wide, wide).transpose(1, 2).reshape(
            rows // high, columns // wide, -1)
    else:
        blocks = weight.reshape(rows, columns // args.group_size, args.group_size)
    low, high = blocks.amin(-1).clamp(max=0), blocks.amax(-1).clamp(min=0)
    if args.type == "float":
        return (torch.maximum(-low, high) / 448).to(dtype), None
    steps = 2 ** args.num_bits - 1
    if args.symmetric:
        return (torch.maximum(-low, high) / (steps / 2)).to(dtype), None
    scale = ((high - low) / steps).to(dtype)
    zero = torch.round(-low / scale.float()) - 2 ** (args.num_bits - 1)
    return scale, zero.clamp(-2 ** (args.num_bits - 1), 2 ** (args.num_bits - 1) - 1).to(torch.int8)


def compressed(name, method, dtype, seed, sparse=None, legacy=False, order=False, **arguments):
    args = QuantizationArgs(**arguments)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    schemes = {module: scheme for module in MODULES}
    state = {}
    for module, weight in weights(seed, dtype).items():
        if sparse:
            weight = pruned(weight, sparse)
        scale, zero = quantizers(weight.float(), args, dtype)
        state[module + ".weight"], state[module + ".weight_scale"] = weight, scale
        if args.strategy == "tensor":
            state[module + ".weight_scale"] = scale.reshape(1)
        if zero is not None:
            state[module + ".weight_zero_point"] = zero
        if order:
            columns = weight.shape[1]
            groups = torch.arange(columns) // args.group_size
            state[module + ".weight_g_idx"] = groups[
                torch.randperm(columns, generator=torch.Generator().manual_seed(seed))].to(torch.int32)
    compressor = BaseCompressor.load_from_registry(method, config=None)
    packed = compressor.compress(dict(state), schemes)
    unpacked = {module + ".weight": data["weight"] for module, data in compressor.decompress_from_state_dict(
        dict(packed), schemes)}
    config = {"quant_method": "compressed-tensors", "format": method, "quantization_status": "compressed",
              "ignore": ["lm_head"],
              "config_groups": {"group_0": json.loads(scheme.model_dump_json(exclude_none=True))}}
    if sparse:
        plain = {key: value for key, value in packed.items() if key.endswith(".weight")}
        made, config["sparsity_config"] = sparse_arrays(plain, sparse, legacy)
        packed = {key: value for key, value in packed.items() if key not in plain} | made
    keep(name, config, packed, unpacked)


# ---- Sparse ------------------------------------------------------------------------------------------------------
def pruned(weight, pattern):
    if pattern == "2:4":
        groups = weight.reshape(-1, 4)
        places = groups.abs().argsort(1, descending=True)[:, 2:]
        return groups.scatter(1, places, 0).reshape(weight.shape)
    return torch.where(weight.abs() < 0.03, torch.zeros_like(weight), weight)


def sparse_arrays(state, pattern, legacy):
    kind = Sparse24BitMaskConfig if pattern == "2:4" else BitmaskConfig
    settings = kind(sparsity_structure=pattern, global_sparsity=50.0, targets=["Linear"], ignore=["lm_head"])
    compressor = BaseCompressor.load_from_registry(settings.format, config=settings)
    made = compressor.compress(state)
    back = dict(compressor.decompress_from_state_dict(dict(made)))
    assert all(torch.equal(back[key].view(torch.uint8), value.view(torch.uint8)) for key, value in state.items())
    if legacy:
        # As versions up to 0.6 wrote them: the name of the weight stays whole.
        made = {key.replace("_proj.", "_proj.weight."): value for key, value in made.items()}
    return made, settings.model_dump()


def sparse_only(name, dtype, seed, pattern, legacy=False):
    state = {module + ".weight": pruned(weight, pattern) for module, weight in weights(seed, dtype).items()}
    state["model.layers.0.mlp.down_proj.weight"][3] = 0
    if pattern == "2:4":
        state["model.layers.0.mlp.down_proj.weight"][4, :40] = 0
    made, settings = sparse_arrays(state, pattern, legacy)
    config = {"quant_method": "compressed-tensors", "sparsity_config": settings}
    keep(name, {"compression_config" if legacy else "quantization_config": config} if legacy else config, made, state)


# ---- GPTQ, AWQ, fp8 ------------------------------------------------------------------------------------------------
def packed_words(values, bits):
    """[n, m] codes as [n * bits / 32, m] words: one stream of bits down each column."""
    stream = ((values.to(torch.int64)[:, None, :] >> torch.arange(bits)[None, :, None]) & 1).reshape(-1, values.shape[1])
    words = (stream.reshape(-1, 32, values.shape[1]) << torch.arange(32)[None, :, None]).sum(1)
    return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)


def codes_of(weight, bits, size, order, symmetric, dtype):
    groups = weight.shape[1] // size
    scales, zeros = torch.empty(groups, weight.shape[0]), torch.empty(groups, weight.shape[0])
    for group in range(groups):
        part = weight[:, order == group]
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        if symmetric:
            scales[group], zeros[group] = torch.maximum(-low, high) / (2 ** (bits - 1) - 0.5), 2 ** (bits - 1)
        else:
            scales[group] = (high - low) / (2 ** bits - 1)
            # A stored zero point is one less, so none is 0 in the first version.
            zeros[group] = torch.round(-low / scales[group]).clamp(1, 2 ** bits - 1)
    scales, zeros = scales.to(dtype), zeros.to(torch.int64)
    codes = torch.round(weight.t() / scales.float()[order] + zeros[order]).clamp(0, 2 ** bits - 1).to(torch.int64)
    return codes, scales, zeros


def gptq(name, bits, size, seed, version="gptq", symmetric=True, shuffled=False, dtype=torch.float16, has_order=True):
    tensors, unpacked = {}, {}
    for module, weight in weights(seed).items():
        width = size if size > 0 else weight.shape[1]
        order = torch.arange(weight.shape[1]) // width
        if shuffled:
            order = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(seed))]
        codes, scales, zeros = codes_of(weight, bits, width, order, symmetric, dtype)
        tensors[module + ".qweight"] = packed_words(codes, bits)
        stored = zeros - (1 if version == "gptq" else 0)
        tensors[module + ".qzeros"] = packed_words(stored.t(), bits).t()
        tensors[module + ".scales"] = scales
        if has_order:
            tensors[module + ".g_idx"] = order.to(torch.int32)
        unpacked[module + ".weight"] = (scales[order] * (codes - zeros[order]).to(dtype)).t()
        check_gptq(tensors, module, bits, size, unpacked[module + ".weight"], version)
    keep(name, {"quant_method": "gptq", "bits": bits, "group_size": size, "sym": symmetric, "desc_act": shuffled,
                "checkpoint_format": version}, tensors, unpacked)


def check_gptq(tensors, module, bits, size, expected, version):
    """The same through AutoGPTQ's own layer, where it is installed; it reads the first version alone."""
    spec = importlib.util.find_spec("auto_gptq")
    if spec is None or version != "gptq" or module + ".g_idx" not in tensors:
        return
    # Its package imports half the world; the one file wants only a name from it.
    path = pathlib.Path(spec.submodule_search_locations[0]) / "nn_modules/qlinear/qlinear_cuda.py"
    source = path.read_text()
    space = {"__name__": "auto_gptq_layer", "__file__": str(path)}
    exec(compile(source, str(path), "exec"), space)
    rows, columns = expected.shape
    layer = space["QuantLinear"](bits, size, columns, rows, False, weight_dtype=tensors[module + ".scales"].dtype)
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        getattr(layer, part).copy_(tensors[f"{module}.{part}"])
    with torch.no_grad():
        out = layer(torch.eye(columns, dtype=expected.dtype))
    assert torch.equal(out.t(), expected), f"AutoGPTQ unpacks {module} otherwise"
    CHECKED.add(bits)


CHECKED = set()


def awq(name, size, seed):
    tensors, unpacked = {}, {}
    nibbles = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])

    def words(values):
        parts = values.reshape(values.shape[0], -1, 8)[:, :, nibbles] << (4 * torch.arange(8))
        words = parts.sum(2)
        return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)

    for module, weight in weights(seed).items():
        order = torch.arange(weight.shape[1]) // size
        codes, scales, zeros = codes_of(weight, 4, size, order, False, torch.float16)
        tensors[module + ".qweight"], tensors[module + ".qzeros"] = words(codes), words(zeros)
        tensors[module + ".scales"] = scales
        unpacked[module + ".weight"] = ((codes - zeros[order]).to(torch.float16) * scales[order]).t()
    keep(name, {"quant_method": "awq", "bits": 4, "group_size": size, "zero_point": True, "version": "gemm"}, tensors,
         unpacked)


def fp8_blocks(name, high, wide, seed):
    tensors, unpacked = {}, {}
    for module, weight in weights(seed).items():
        rows, columns = weight.shape
        padded = torch.zeros(-(-rows // high) * high, -(-columns // wide) * wide)
        padded[:rows, :columns] = weight
        blocks = padded.reshape(padded.shape[0] // high, high, padded.shape[1] // wide, wide)
        scale = blocks.abs().amax((1, 3)) / 448
        spread = scale.repeat_interleave(high, 0).repeat_interleave(wide, 1)[:rows, :columns]
        bytes_ = (weight / spread).to(torch.float8_e4m3fn)
        tensors[module + ".weight"], tensors[module + ".weight_scale_inv"] = bytes_, scale
        unpacked[module + ".weight"] = (bytes_.float() * spread).to(torch.bfloat16)
    keep(name, {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [high, wide]},
         tensors, unpacked)


TARGET.mkdir(exist_ok=True)
half, brain, single = torch.float16, torch.bfloat16, torch.float32
group32 = dict(strategy="group", group_size=32)
compressed("pack-w4-g32", "pack-quantized", brain, 1, num_bits=4, symmetric=True, **group32)
compressed("pack-w4-g32-asym", "pack-quantized", half, 2, num_bits=4, symmetric=False, **group32)
compressed("pack-w4-g32-order", "pack-quantized", half, 3, order=True, num_bits=4, symmetric=True, **group32)
compressed("pack-w3-g32", "pack-quantized", half, 4, num_bits=3, symmetric=True, **group32)
compressed("pack-w8-channel", "pack-quantized", single, 5, num_bits=8, symmetric=True, strategy="channel")
compressed("pack-w4-g16", "pack-quantized", brain, 6, num_bits=4, symmetric=False, strategy="group", group_size=16)
compressed("int-channel", "int-quantized", brain, 7, num_bits=8, symmetric=True, strategy="channel")
compressed("int-channel-asym", "int-quantized", brain, 8, num_bits=8, symmetric=False, strategy="channel")
compressed("naive-tensor", "naive-quantized", half, 9, num_bits=8, symmetric=True, strategy="tensor")
compressed("float-tensor", "float-quantized", brain, 10, num_bits=8, type="float", symmetric=True, strategy="tensor")
compressed("float-channel", "float-quantized", brain, 11, num_bits=8, type="float", symmetric=True, strategy="channel")
compressed("float-block", "float-quantized", brain, 12, num_bits=8, type="float", symmetric=True, strategy="block",
           block_structure=[16, 32])
compressed("float-channel-24", "float-quantized", brain, 13, sparse="2:4", num_bits=8, type="float", symmetric=True,
           strategy="channel")
compressed("int-channel-sparse", "int-quantized", brain, 14, sparse="unstructured", num_bits=8, symmetric=True,
           strategy="channel")
sparse_only("sparse-bf16", brain, 15, "unstructured")
sparse_only("sparse-f16", half, 16, "unstructured")
sparse_only("sparse-f32-legacy", single, 17, "unstructured", legacy=True)
sparse_only("sparse-24-f16", half, 18, "2:4")
sparse_only("sparse-24-bf16-legacy", brain, 19, "2:4", legacy=True)
gptq("gptq-2", 2, 32, 20, symmetric=False)
gptq("gptq-3", 3, 32, 21)
gptq("gptq-4", 4, 32, 22)
gptq("gptq-4-row", 4, -1, 23, has_order=False)
gptq("gptq-4-asym", 4, 32, 24, symmetric=False)
gptq("gptq-4-v2", 4, 32, 25, version="gptq_v2", symmetric=False)
gptq("gptq-4-order", 4, 32, 26, shuffled=True)
gptq("gptq-8", 8, 32, 27)
gptq("gptq-8-asym", 8, 32, 28, symmetric=False, dtype=brain)
awq("awq-4", 32, 29)
fp8_blocks("fp8-blocks", 32, 64, 30)
fp8_blocks("fp8-ragged", 24, 40, 31)
(TARGET / "packed.json").write_text(json.dumps(ALL, indent=1, sort_keys=True) + "\n")
print(f"{len(ALL)} files; bits that AutoGPTQ unpacks alike: {sorted(CHECKED)}")
