#!/usr/bin/env python3
"""Makes Tests/Fixtures/families: a tiny random model of each family, with what transformers makes of it.

Run with torch, transformers and safetensors, from the repository's root:

    python Tools/make_families.py Tests/Fixtures/families [NAME ...]

Each folder holds the model in float16 and expected.json: the prompt, logits of some of its rows in float32, and the
ids that greedy decoding adds; of an encoder two prompts (or an image) and their last states. ropes.json beside them holds rotary frequencies of each kind of scaling.
"""
import copy
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageClassification
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

ENCODER = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=160, pad_token_id=0)
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
    "gemma": dict(COMMON, model_type="gemma", head_dim=10, tie_word_embeddings=True),
    "phi3-partial": dict(
        COMMON, model_type="phi3", rope_parameters=dict(
            rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.75)),
    "llama-dynamic": dict(COMMON, model_type="llama", num_hidden_layers=1, rope_parameters=dict(
        rope_type="dynamic", rope_theta=10000.0, factor=4.0)),
    "starcoder2": dict(COMMON, model_type="starcoder2", sliding_window=24),
    "olmo2": dict(COMMON, model_type="olmo2"),
    "granite": dict(
        COMMON, model_type="granite", embedding_multiplier=1.5, attention_multiplier=0.25, residual_multiplier=0.6,
        logits_scaling=1.3),
    "gpt-neox": dict(
        {key: value for key, value in COMMON.items() if key != "num_key_value_heads"}, model_type="gpt_neox",
        rotary_pct=0.5, rotary_emb_base=5000),
    "stablelm": dict(COMMON, model_type="stablelm", use_qkv_bias=True, partial_rotary_factor=0.25),
    "stablelm-parallel": dict(
        COMMON, model_type="stablelm", use_parallel_residual=True, partial_rotary_factor=0.5),
}

# Layers that differ, as a model has them whose layers were pruned: lists in config.json, which transformers does not
# read.
LAYERED = {
    "layered": (
        dict(COMMON, model_type="llama", head_dim=8, num_hidden_layers=3),
        dict(num_attention_heads=[4, 2, 6], num_key_value_heads=[2, 1, 2], intermediate_size=[40, 24, 56])),
}

ENCODERS = {
    "bert": dict(ENCODER, model_type="bert"),
    "roberta": dict(ENCODER, model_type="roberta", type_vocab_size=1, pad_token_id=1),
    "mpnet": dict(ENCODER, model_type="mpnet", pad_token_id=1),
    "modernbert": dict(
        ENCODER, model_type="modernbert", num_hidden_layers=3, local_attention=12, global_attn_every_n_layers=2,
        bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2),
    "vit": dict(
        model_type="vit", hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        image_size=20, patch_size=5, num_channels=3),
    "vit-labels": dict(
        model_type="vit", hidden_size=32, intermediate_size=40, num_hidden_layers=1, num_attention_heads=4,
        image_size=12, patch_size=4, num_channels=1, num_labels=7),
}


def randomise(model, generator):
    for name, parameter in model.named_parameters():
        def normal(scale):
            return torch.randn(parameter.shape, generator=generator) * scale
        if parameter.dim() == 1:
            is_norm = "norm" in name.lower() or "ln_" in name
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


def configuration(settings):
    settings = dict(settings)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config._attn_implementation = "eager"
    return config


def make(name, settings, out, own={}):
    config = configuration(settings)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    for layer in range(config.num_hidden_layers if own else 0):
        shape = copy.deepcopy(config)
        for key, values in own.items():
            setattr(shape, key, values[layer])
        model.model.layers[layer] = type(model.model.layers[layer])(shape, layer).float().eval()
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
    if own:
        path = folder / "config.json"
        path.write_text(json.dumps(dict(json.loads(path.read_text()), **own), indent=2) + "\n")
    write_tokenizer(folder)
    expected = {
        "prompt": prompt, "rows": rows, "logits": [[round(x, 6) for x in logits[r].tolist()] for r in rows],
        "greedy": ids[PROMPT:]}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, logits to {logits.abs().max():.2f}, least margin {margin:.4f}")
    assert size < 100 * 1024 and margin > 1e-3, name


def encode(name, settings, out):
    kind = AutoModelForImageClassification if "num_labels" in settings else AutoModel
    model = kind.from_config(configuration(settings)).float().eval()
    generator = torch.Generator().manual_seed(sum(name.encode()))
    randomise(model, generator)
    with torch.no_grad():
        if settings["model_type"] == "vit":
            size = settings["image_size"]
            pixels = torch.randn(1, settings["num_channels"], size, size, generator=generator)
            pixels = (pixels * 1000).round() / 1000
            inputs, states = {"pixels": [round(x, 3) for x in pixels.flatten().tolist()]}, [
                model.base_model(pixels).last_hidden_state[0]]
            if "num_labels" in settings:
                inputs["logits"] = [round(x, 6) for x in model(pixels).logits[0].tolist()]
        else:
            prompts = [
                torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in [PROMPT, 17]]
            inputs = {"prompts": prompts}
            states = [model(torch.tensor([prompt])).last_hidden_state[0] for prompt in prompts]
    folder = out / name
    model.half().save_pretrained(folder)
    if settings["model_type"] != "vit":
        write_tokenizer(folder)
    rows = [sorted(set(range(0, len(s), STEP)) | {len(s) - 1}) for s in states]
    expected = dict(inputs, rows=rows, states=[
        [[round(x, 6) for x in s[r].tolist()] for r in own] for s, own in zip(states, rows)])
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, states to {max(s.abs().max().item() for s in states):.2f}")
    assert size < 100 * 1024, name


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
    for name, (settings, own) in LAYERED.items():
        if not chosen or name in chosen:
            make(name, settings, out, own)
    for name, settings in ENCODERS.items():
        if not chosen or name in chosen:
            encode(name, settings, out)
    if not chosen:
        ropes(out)


main()
