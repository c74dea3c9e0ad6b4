#!/usr/bin/env python3
"""Compares logits that `winnow logits --output` wrote with transformers in float32 on the dequantized weights.

Run with torch, transformers, gguf and safetensors:

    winnow logits --model M.gguf --activations exact --kv-type f32 --file TEXT --output logits.safetensors
    python Tools/compare-gguf-logits.py M.gguf logits.safetensors

Knows GGUF files of architecture gemma3. Weights are multiplied out by the `gguf` package, one tensor at a time.
"""
import sys

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import load_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

NAMES = {
    "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj", "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "post_ffw_norm": "post_feedforward_layernorm",
}


def folder_name(name):
    if name in NAMES:
        return NAMES[name]
    _, layer, kind, end = name.split(".")
    return f"model.layers.{layer}.{NAMES[kind]}.{end}"


def main():
    reader = GGUFReader(sys.argv[1])

    def field(key):
        return reader.fields["gemma3." + key].contents()

    layers = field("block_count")
    config = Gemma3TextConfig(
        vocab_size=reader.tensors[[t.name for t in reader.tensors].index("token_embd.weight")].shape.tolist()[1],
        hidden_size=field("embedding_length"), intermediate_size=field("feed_forward_length"),
        num_hidden_layers=layers, num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"), head_dim=field("attention.key_length"),
        query_pre_attn_scalar=field("attention.key_length"), sliding_window=field("attention.sliding_window"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"), max_position_embeddings=field("context_length"),
        layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(layers)],
        rope_parameters={
            "full_attention": dict(rope_type="default", rope_theta=field("rope.freq_base")),
            "sliding_attention": dict(rope_type="default", rope_theta=10000.0)})
    config._attn_implementation = "eager"
    model = Gemma3ForCausalLM(config).float().eval()
    state = {}
    for tensor in reader.tensors:
        name = folder_name(tensor.name)
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        # GGUF files hold norms with the 1 that folders leave out.
        state[name] = values - 1 if "norm" in name else values
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()

    ours = load_file(sys.argv[2])
    ids, logits = ours["ids"].long(), ours["logits"]
    with torch.no_grad():
        theirs = model(ids[None], use_cache=False).logits[0]
    difference = (theirs - logits).abs()
    same = (theirs.argmax(-1) == logits.argmax(-1)).sum().item()
    print(
        f"{len(ids)} tokens, {logits.shape[1]} logits each: largest difference {difference.max():.2e}, mean "
        f"{difference.mean():.2e}, logits to {theirs.abs().max():.1f}; best token the same at {same}")


main()
