#!/usr/bin/env python3
"""Makes Tests/Fixtures/families: a tiny random model of each family, with what transformers makes of it.

Run with torch, transformers and safetensors, from the repository's root:

    python Tools/make_families.py Tests/Fixtures/families [NAME ...]

Each folder holds the model in float16 and expected.json: the prompt, logits of some of its rows in float32, and the
ids that greedy decoding adds. ropes.json beside them holds rotary frequencies of each kind of scaling.
"""
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

VOCABULARY, PROMPT, GREEDY, STEP = 61, 100, 32, 9
COMMON = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=160, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    tie_word_embeddings=False)
GEMMA = dict(
    COMMON, num_hidden_layers=3, intermediate_size=36, head_dim=8, query_pre_attn_scalar=8, sliding_window=24,
    tie_word_embeddings=True)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=40)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=40)
LONGROPE = dict(
    rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.3, 1.6], long_factor=[1.0, 1.5, 2.5, 4.0])

EXPERTS = dict(COMMON, intermediate_size=24, num_experts_per_tok=2, output_router_logits=False)

FAMILIES = {
    "llama3": dict(COMMON, model_type="llama", attention_bias=True, rope_parameters=LLAMA3),
    "mistral": dict(COMMON, model_type="mistral", sliding_window=24, head_dim=10),
    "mixtral": dict(EXPERTS, model_type="mixtral", num_local_experts=4, sliding_window=24),
    "qwen2-moe": dict(
        EXPERTS, model_type="qwen2_moe", num_experts=5, moe_intermediate_size=20,
        shared_expert_intermediate_size=28, norm_topk_prob=False),
    "qwen2-moe-mixed": dict(
        EXPERTS, model_type="qwen2_moe", num_experts=3, moe_intermediate_size=20, num_hidden_layers=4,
        shared_expert_intermediate_size=28, norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[3]),
    "qwen3-moe": dict(
        EXPERTS, model_type="qwen3_moe", num_experts=6, moe_intermediate_size=16, num_experts_per_tok=3,
        norm_topk_prob=True, head_dim=12),
    "qwen2": dict(COMMON, model_type="qwen2", rope_parameters=dict(
        rope_type="linear", rope_theta=10000.0, factor=2.0)),
    "qwen2-window": dict(
        COMMON, model_type="qwen2", use_sliding_window=True, sliding_window=24, max_window_layers=1,
        tie_word_embeddings=True),
    "qwen3": dict(COMMON, model_type="qwen3", head_dim=12, rope_parameters=YARN),
    # Caps low enough to bite.
    "gemma2": dict(GEMMA, model_type="gemma2", attn_logit_softcapping=4.0, final_logit_softcapping=6.0),
    "gemma3": dict(
        GEMMA, model_type="gemma3_text",
        layer_types=["sliding_attention", "sliding_attention", "full_attention"], rope_parameters={
            "full_attention": dict(rope_type="linear", rope_theta=1e6, factor=8.0),
            "sliding_attention": dict(rope_type="default", rope_theta=10000.0)}),
    "gemma3-odd": dict(
        GEMMA, model_type="gemma3_text", query_pre_attn_scalar=12,
        layer_types=["sliding_attention", "full_attention", "full_attention"]),
    "phi3": dict(
        COMMON, model_type="phi3", sliding_window=70, original_max_position_embeddings=136,
        rope_parameters=dict(LONGROPE, original_max_position_embeddings=136)),
    "phi3-long": dict(
        COMMON, model_type="phi3", original_max_position_embeddings=40,
        rope_parameters=dict(LONGROPE, original_max_position_embeddings=40)),
    "gpt2": dict(
        model_type="gpt2", vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=160,
        bos_token_id=1, eos_token_id=2),
    "opt": dict(
        model_type="opt", vocab_size=VOCABULARY, hidden_size=32, word_embed_proj_dim=32, ffn_dim=40,
        num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=160, bos_token_id=1, eos_token_id=2,
        pad_token_id=0),
}


def randomise(model, generator):
    for name, parameter in model.named_parameters():
        def normal(scale):
            return torch.randn(parameter.shape, generator=generator) * scale
        if parameter.dim() == 1:
            is_norm = "norm" in name or "ln_" in name
            around = 1.0 if is_norm and name.endswith("weight") and "gemma" not in model.config.model_type else 0.0
            value = around + normal(0.2)
        elif "embed" in name or "wte" in name or "wpe" in name:
            # Gemma multiplies its embeddings by the root of their width.
            value = normal(0.15 if "gemma" in model.config.model_type else 0.4)
        else:
            value = normal(1.3 / parameter.shape[-1] ** 0.5)
        parameter.data = value.half().float()


def write_tokenizer(folder):
    """The tokenizer of tiny-llama, cut down to the vocabulary: a model needs one to open."""
    tokenizer = json.loads((folder.parent.parent / "tiny-llama/tied/tokenizer.json").read_text())
    own = tokenizer["model"]
    own["vocab"] = {token: id for token, id in own["vocab"].items() if id < VOCABULARY - 1}
    own["vocab"]["!!"] = VOCABULARY - 1
    own["merges"] = [["!", "!"]]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def make(name, settings, out):
    settings = dict(settings)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    generator = torch.Generator().manual_seed(sum(name.encode()))
    randomise(model, generator)
    model.tie_weights()
    prompt = torch.randint(3, VOCABULARY, (PROMPT,), generator=generator).tolist()
    rows = sorted(set(range(0, PROMPT, STEP)) | {PROMPT - 1})
    with torch.no_grad():
        logits = model(torch.tensor([prompt]), use_cache=False).logits[0]
        ids, margin = list(prompt), 1e9
        for _ in range(GREEDY):
            last = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
            best = last.topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            ids.append(best.indices[0].item())
    folder = out / name
    model.half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_tokenizer(folder)
    expected = {
        "prompt": prompt, "rows": rows, "logits": [[round(x, 6) for x in logits[r].tolist()] for r in rows],
        "greedy": ids[PROMPT:]}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, logits to {logits.abs().max():.2f}, least margin {margin:.4f}")
    assert size < 100 * 1024 and margin > 1e-3, name


def ropes(out):
    base = dict(hidden_size=64, num_attention_heads=4, num_hidden_layers=1, head_dim=64, max_position_embeddings=131072)
    cases = []
    for parameters in [
        dict(rope_type="linear", factor=4.0),
        dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
             original_max_position_embeddings=8192),
        dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768),
        dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=4096, mscale=1.0, mscale_all_dim=0.7,
             beta_fast=16.0, beta_slow=2.0, truncate=False),
        dict(rope_type="longrope", original_max_position_embeddings=4096,
             short_factor=[1 + i / 100 for i in range(32)], long_factor=[1 + i for i in range(32)]),
    ]:
        parameters = dict(parameters, rope_theta=500000.0)
        config = transformers.LlamaConfig(**base, rope_parameters=dict(parameters))
        if "original_max_position_embeddings" in parameters:
            config.original_max_position_embeddings = parameters["original_max_position_embeddings"]
        init = ROPE_INIT_FUNCTIONS[parameters["rope_type"]]
        short, attention = init(config, torch.device("cpu"), seq_len=16)
        long, _ = init(config, torch.device("cpu"), seq_len=100_000)
        cases.append({
            "config": {"max_position_embeddings": 131072, "rope_parameters": parameters}, "short": short.tolist(),
            "long": long.tolist(), "attention": attention})
    (out / "ropes.json").write_text(json.dumps(cases) + "\n")


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "Tests/Fixtures/families")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    chosen = sys.argv[2:]
    for name, settings in FAMILIES.items():
        if not chosen or name in chosen:
            make(name, settings, out)
    if not chosen:
        ropes(out)


main()
