#!/usr/bin/env python3
"""Measures how far `winnow convert --format auto` is from the best format, on shapes that nobody tuned it on.

  python3 Tools/measure-format-choice.py --winnow .build/release/winnow --models 6 --threads 2 --seed 1

Each model is a random Llama whose widths, heads and share of zeros come from the seed. `convert --format auto --dry-run` chooses a
format for each of its layer shapes; then every candidate that kept to --max-weight-error is timed anew, by `bench --kernels` in a
process of its own, over as many copies as the model has weights, in turns that go forward and back. A round gives the chosen
format's time over each candidate's; the largest of their medians is what the choice costs against the best, 1.00 for the best itself.
Needs numpy. Exits with 1 where a choice costs more than --bound.
"""

import argparse
import json
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy


def draw_shape(random):
    """A Llama whose widths no table of common models has: multiples of 64 (or 32, which leaves out some formats' groups)."""
    head_width = int(random.choice([32, 64, 80, 96]))
    heads = int(random.integers(6, 20))
    shared = int(random.choice([divisor for divisor in (1, 2, 3, 4) if heads % divisor == 0]))
    width = heads * head_width
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width, "num_attention_heads": heads,
        "num_key_value_heads": heads // shared, "head_dim": head_width, "num_hidden_layers": 2,
        "intermediate_size": int(random.integers(2, 5) * width + 32 * random.integers(0, 20)), "vocab_size": 2048,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
    }


def write_model(folder, config, zeros, random):
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, rows, columns in [
            ("self_attn.q_proj", width, width), ("self_attn.k_proj", keys, width), ("self_attn.v_proj", keys, width),
            ("self_attn.o_proj", width, width), ("mlp.gate_proj", inner, width), ("mlp.up_proj", inner, width),
            ("mlp.down_proj", width, inner),
        ]:
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{name}.weight"] = (width,)
    header, parts, offset = {}, [], 0
    for name, shape in shapes.items():
        values = random.standard_normal(shape, dtype=numpy.float32) * 0.02
        if len(shape) == 1:
            values[:] = 1
        elif zeros and "layers" in name:
            values[random.random(shape, dtype=numpy.float32) < zeros] = 0
        halves = (values.view(numpy.uint32) >> 16).astype("<u2")  # bfloat16
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + halves.nbytes]}
        offset += halves.nbytes
        parts.append(halves)
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for part in parts:
            file.write(part.tobytes())
    (folder / "config.json").write_text(json.dumps(config))
    return sum(rows * columns for rows, columns in (shape for shape in shapes.values() if len(shape) == 2))


class Timer:
    def __init__(self, options, weights):
        self.options, self.weights = options, weights

    def run(self, *arguments):
        wrapped = [*self.options.before.split(), self.options.winnow, *arguments, "--threads", str(self.options.threads)]
        done = subprocess.run([*wrapped, "--json", "--quiet"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(wrapped)}\n{done.stderr}")
        return json.loads(done.stdout)

    def seconds(self, choice, candidate):
        rows, columns = choice["shape"]
        copies = -(-self.weights // (rows * columns))
        answer = self.run(
            "bench", "--kernels", "--formats", candidate["format"], "--shapes", f"{rows}x{columns}", "--rows", "1",
            "--isa", self.options.isa, "--repetitions", "3", "--sparsity", str(choice["zeros"] if choice["zeros"] > 0.01 else 0),
            "--working-set", str(copies * candidate["bytes"]))
        return answer["kernels"][0]["seconds"]


def cost(timer, choice, rounds):
    """What a choice costs against the best: (ratio, name of the best, its seconds, those of the chosen)."""
    allowed = [candidate for candidate in choice["candidates"] if candidate["seconds"] is not None]
    # Those far off while choosing are not measured again: a factor of two is no noise.
    fastest = min(candidate["seconds"] for candidate in allowed)
    allowed = [candidate for candidate in allowed if candidate["seconds"] < 2 * fastest]
    times = {candidate["format"]: [] for candidate in allowed}
    for turn in range(rounds):
        for candidate in allowed if turn % 2 == 0 else reversed(allowed):
            times[candidate["format"]].append(timer.seconds(choice, candidate))
    chosen = times[choice["format"]]
    ratios = {name: statistics.median(a / b for a, b in zip(chosen, own)) for name, own in times.items()}
    best = max(ratios, key=ratios.get)
    return ratios[best], best, statistics.median(times[best]), statistics.median(chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--winnow", default=str(pathlib.Path(__file__).parent.parent / ".build/release/winnow"))
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isa", default="avx512")
    parser.add_argument("--bound", type=float, default=1.05)
    parser.add_argument("--max-weight-error", type=float, nargs="+", default=[0.02, 0.15])
    parser.add_argument("--before", default="", help="what stands before each command, such as a lock")
    options = parser.parse_args()
    random = numpy.random.default_rng(options.seed)
    print("| shape | zeros | error up to | chosen | best | time of each, us | cost |")
    print("| --- | --: | --: | --- | --- | --: | --: |")
    costs = []
    for model in range(options.models):
        zeros, bound = [0, 0.5, 0.8][model % 3], options.max_weight_error[model % len(options.max_weight_error)]
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            weights = write_model(folder, draw_shape(random), zeros, random)
            timer = Timer(options, weights)
            plan = timer.run(
                "convert", "--model", name, "--to", "packed", "--format", "auto", "--dry-run", "--isa", options.isa,
                "--max-weight-error", str(bound), "--output", str(folder / "out"))
            for choice in plan["choices"]:
                ratio, best, fastest, own = cost(timer, choice, options.rounds)
                costs.append(ratio)
                rows, columns = choice["shape"]
                print(
                    f"| {rows}x{columns} | {choice['zeros']:.0%} | {bound:.0%} | {choice['format']} | {best} | "
                    f"{own * 1e6:.0f}, {fastest * 1e6:.0f} | {ratio:.3f} |", flush=True)
    over = sum(value > options.bound for value in costs)
    print(
        f"\n{len(costs)} shapes; cost: median {statistics.median(costs):.3f}, largest {max(costs):.3f}; "
        f"{over} over {options.bound:.2f}")
    sys.exit(1 if over else 0)


main()
