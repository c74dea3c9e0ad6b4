#!/usr/bin/env python3
"""Makes Tests/Fixtures/tiny-llama: two tiny random Llama models, as Hugging Face folders and as GGUF files,
with the logits that transformers computes for them in float32.

    pip install numpy safetensors tokenizers gguf torch transformers
    python Tools/make_tiny_llama.py Tests/Fixtures/tiny-llama

tied/     width 64, FFN 96, F32, five shards and an index, tied head; the older style of config.json and
          tokenizer_config.json
untied/   width 32, FFN 64, BF16, one file, a head of its own; config.json in the newer style,
          chat_template.jinja
tied-{q8_0,q4_0,q4_1}.gguf, untied-f16.gguf
          the same weights; the rows of q and k permuted as GGUF's llama wants them; the embedding of
          tied-q4_* in Q8_0
logits.safetensors, logits-untied.safetensors
          `ids` [21], `text` (the UTF-8 bytes that encode to `ids`), and for every folder and GGUF
          `logits.NAME` [21, 288]: of the weights as that file stores them, expanded to float32

Both models have 2 layers, 4 heads, 2 KV heads, and one byte-level BPE vocabulary of 288. The weights come from
a seeded NumPy generator, so a second run writes the same files. Every file stays under 100 KiB.
"""
import json
import pathlib
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = "<|im_start|>user\nThe wheat: 42 🌾é<|im_end|>"
CORPUS = """The winnower throws the grain into the wind. The wind takes the chaff and the grain falls.
The heavier the grain, the nearer it falls; the lighter the chaff, the farther the wind takes it.
What is left is less and worth more than what there was. The wheat and the ears of the wheat, the user and the
answer: the winnower winnows, and then the winnower winnows the other half of the heap."""
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
POSITIONS, VOCABULARY, LAYERS, HEADS, KV_HEADS = 128, 288, 2, 4, 2
LIMIT = 100 * 1024


def tokenizer():
    """A byte-level BPE with SmolLM2's pre-tokenizer: 3 special tokens, 256 bytes, 29 merges."""
    result = Tokenizer(models.BPE())
    result.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    result.decoder = decoders.ByteLevel()
    result.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIALS],
        show_progress=False))
    assert result.get_vocab_size() == VOCABULARY
    return result


def weights(seed, width, inner, tied):
    """Seeded weights under their Hugging Face keys, in the order of the model."""
    generator = np.random.Generator(np.random.PCG64(seed))
    head_width = width // HEADS

    def matrix(rows, columns, scale=1.0):
        return (generator.standard_normal((rows, columns)) * scale / np.sqrt(columns)).astype(np.float32)

    def norm():
        return (1 + 0.2 * generator.standard_normal(width)).astype(np.float32)

    result = {"model.embed_tokens.weight": matrix(VOCABULARY, width, scale=2)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        result[prefix + "input_layernorm.weight"] = norm()
        result[prefix + "self_attn.q_proj.weight"] = matrix(width, width, scale=2)
        result[prefix + "self_attn.k_proj.weight"] = matrix(KV_HEADS * head_width, width, scale=2)
        result[prefix + "self_attn.v_proj.weight"] = matrix(KV_HEADS * head_width, width)
        result[prefix + "self_attn.o_proj.weight"] = matrix(width, width)
        result[prefix + "post_attention_layernorm.weight"] = norm()
        result[prefix + "mlp.gate_proj.weight"] = matrix(inner, width, scale=2)
        result[prefix + "mlp.up_proj.weight"] = matrix(inner, width)
        result[prefix + "mlp.down_proj.weight"] = matrix(width, inner)
    result["model.norm.weight"] = norm()
    if not tied:
        result["lm_head.weight"] = matrix(VOCABULARY, width, scale=2)
    return result


def config(width, inner, tied, theta, epsilon):
    """The keys of config.json that both styles share."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": POSITIONS,
        "vocab_size": VOCABULARY, "rms_norm_eps": epsilon, "rope_theta": theta, "tie_word_embeddings": tied,
        "attention_bias": False, "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder, made, template_in_config):
    made.save(str(folder / "tokenizer.json"), pretty=False)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIALS[1], "eos_token": SPECIALS[2],
             "pad_token": SPECIALS[2], "unk_token": SPECIALS[0], "add_bos_token": False,
             "model_max_length": POSITIONS, "clean_up_tokenization_spaces": False}
    if template_in_config:
        about["chat_template"] = CHAT_TEMPLATE
    else:
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    write_json(folder / "tokenizer_config.json", about)


def write_shards(folder, tensors, limit):
    """Fills files in the order of the model up to `limit` bytes of values each, and writes their index."""
    shards, used = [{}], 0
    for name, value in tensors.items():
        if used and used + value.nbytes > limit:
            shards.append({})
            used = 0
        shards[-1][name] = value
        used += value.nbytes
    places = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        places.update({name: file for name in shard})
    total = sum(value.nbytes for value in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": places})


def logits(settings, tensors, ids):
    """Float32 logits of every position, by transformers with eager attention."""
    model = LlamaForCausalLM(LlamaConfig(**settings, attn_implementation="eager")).float().eval()
    state = {name: torch.tensor(value, dtype=torch.float32) for name, value in tensors.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def gguf_name(name):
    """The name and, for q and k, the number of heads whose rows GGUF interleaves."""
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                "lm_head.weight": "output.weight"}[name], None
    _, _, layer, part = name.split(".", 3)
    stem, heads = {
        "input_layernorm": ("attn_norm", None), "post_attention_layernorm": ("ffn_norm", None),
        "self_attn.q_proj": ("attn_q", HEADS), "self_attn.k_proj": ("attn_k", KV_HEADS),
        "self_attn.v_proj": ("attn_v", None), "self_attn.o_proj": ("attn_output", None),
        "mlp.gate_proj": ("ffn_gate", None), "mlp.up_proj": ("ffn_up", None),
        "mlp.down_proj": ("ffn_down", None),
    }[part.removesuffix(".weight")]
    return f"blk.{layer}.{stem}.weight", heads


def write_gguf(path, settings, tensors, made, kind, embedding_kind):
    """Writes one GGUF; returns the weights as it stores them, expanded, under their Hugging Face keys."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(settings["hidden_size"])
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(settings["intermediate_size"])
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(settings["rms_norm_eps"])
    writer.add_rope_freq_base(settings["rope_theta"])
    writer.add_rope_dimension_count(settings["hidden_size"] // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(getattr(gguf.LlamaFileType, "MOSTLY_" + kind.name))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    model = json.loads(made.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIALS else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    stored = {}
    for name, value in tensors.items():
        target, heads = gguf_name(name)
        outer = "embed" in name or "lm_head" in name
        wanted = Kind.F32 if value.ndim == 1 else embedding_kind if outer else kind
        expanded = gguf.quants.dequantize(gguf.quants.quantize(value, wanted), wanted)
        stored[name] = np.array(expanded, dtype=np.float32).reshape(value.shape)
        if heads:
            rows, columns = value.shape
            value = value.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        writer.add_tensor(target, gguf.quants.quantize(np.ascontiguousarray(value), wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "Tests/Fixtures/tiny-llama")
    for name in ("tied", "untied"):
        (out / name).mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    ids = made.encode(TEXT).ids
    assert made.decode(ids, skip_special_tokens=False) == TEXT
    golden = {"ids": np.array(ids, dtype=np.int32), "text": np.frombuffer(TEXT.encode(), dtype=np.uint8)}

    settings = config(64, 96, True, 10000.0, 1e-5)
    tensors = weights(1, 64, 96, tied=True)
    write_json(out / "tied/config.json", settings | {"torch_dtype": "float32", "rope_scaling": None})
    write_tokenizer(out / "tied", made, template_in_config=True)
    write_shards(out / "tied", tensors, limit=90_000)
    golden["logits.tied"] = logits(settings, tensors, ids)
    for kind in (Kind.Q8_0, Kind.Q4_0, Kind.Q4_1):
        name = f"tied-{kind.name.lower()}"
        stored = write_gguf(out / f"{name}.gguf", settings, tensors, made, kind, Kind.Q8_0)
        golden["logits." + name] = logits(settings, stored, ids)
    save_file(golden, out / "logits.safetensors")

    settings = config(32, 64, False, 100000.0, 1e-6)
    tensors = weights(2, 32, 64, tied=False)
    rounded = {name: torch.from_numpy(value).to(torch.bfloat16) for name, value in tensors.items()}
    tensors = {name: value.float().numpy() for name, value in rounded.items()}
    newer = {key: value for key, value in settings.items() if key != "rope_theta"}
    newer |= {"dtype": "bfloat16", "head_dim": 8,
              "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}}
    write_json(out / "untied/config.json", newer)
    write_tokenizer(out / "untied", made, template_in_config=False)
    save_torch_file(rounded, out / "untied/model.safetensors", metadata={"format": "pt"})
    golden = {"ids": golden["ids"], "text": golden["text"], "logits.untied": logits(settings, tensors, ids)}
    stored = write_gguf(out / "untied-f16.gguf", settings, tensors, made, Kind.F16, Kind.F16)
    golden["logits.untied-f16"] = logits(settings, stored, ids)
    save_file(golden, out / "logits-untied.safetensors")

    for path in sorted(out.rglob("*")):
        if path.is_file():
            assert path.stat().st_size < LIMIT, f"{path} has {path.stat().st_size} bytes"
            print(f"{path.stat().st_size:7} {path.relative_to(out)}")


main()
