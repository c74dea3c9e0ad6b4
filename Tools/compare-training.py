#!/usr/bin/env python3
"""Times a training step of Winnow and of PyTorch (eager) on the same shape, in turns, and prints ratios.

    python Tools/compare-training.py WINNOW TOKENIZER TEXT [--threads 2] [--rounds 3] [--compute bfloat16]

The shape: 8 layers, width 384, 6 heads, FFN 1024, tied embeddings, 8 x 256 tokens, float32, AdamW. TOKENIZER is a
model folder whose vocabulary both use. With --compute bfloat16 both multiply matrices in it (PyTorch under autocast). CPU seconds a step are those of a longer run less those of a shorter one.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SHAPE = dict(layers=8, width=384, heads=6, ffn=1024, batch=8, length=256)
SHORT, LONG = 2, 8


def torch_steps(steps, threads, vocabulary, compute):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=vocabulary, hidden_size=SHAPE["width"], intermediate_size=SHAPE["ffn"],
        num_hidden_layers=SHAPE["layers"], num_attention_heads=SHAPE["heads"], num_key_value_heads=SHAPE["heads"],
        max_position_embeddings=SHAPE["length"], tie_word_embeddings=True, attn_implementation="sdpa"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    ids = torch.randint(3, vocabulary, (SHAPE["batch"], SHAPE["length"] + 1))
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=compute == "bfloat16"):
            logits = model(ids[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds))


def measured(command):
    """The output of a command, its CPU seconds and its peak memory in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("winnow")
    parser.add_argument("tokenizer")
    parser.add_argument("text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compute", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--torch-steps", type=int)
    options = parser.parse_args()
    vocabulary = json.loads((pathlib.Path(options.tokenizer) / "config.json").read_text())["vocab_size"]
    if options.torch_steps:
        return torch_steps(options.torch_steps, options.threads, vocabulary, options.compute)

    def peer(steps):
        output, cpu, peak = measured([sys.executable, __file__, options.winnow, options.tokenizer, options.text,
                                      "--threads", str(options.threads), "--compute", options.compute, "--torch-steps",
                                      str(steps)])
        return json.loads(output), cpu, peak

    def winnow(steps):
        folder = tempfile.mkdtemp()
        try:
            _, cpu, peak = measured([
                options.winnow, "train", "--text", options.text, "--tokenizer", options.tokenizer, "--output", folder,
                "--overwrite", "--layers", str(SHAPE["layers"]), "--width", str(SHAPE["width"]), "--heads",
                str(SHAPE["heads"]), "--feed-forward", str(SHAPE["ffn"]), "--batch", str(SHAPE["batch"]), "--length",
                str(SHAPE["length"]), "--steps", str(steps), "--validation-share", "0", "--compute",
                options.compute, "--threads", str(options.threads), "--quiet"])
            log = (pathlib.Path(folder) / "log.jsonl").read_text().splitlines()
            return [json.loads(line)["seconds"] for line in log], cpu, peak
        finally:
            shutil.rmtree(folder)

    table = {"winnow": [], "PyTorch": []}
    for _ in range(options.rounds):
        for name, run in (("winnow", winnow), ("PyTorch", peer)):
            _, short, _ = run(SHORT)
            seconds, cpu, peak = run(LONG)
            table[name].append(((cpu - short) / (LONG - SHORT), statistics.median(seconds[2:]), peak))
    for name, rows in table.items():
        cpu, wall, peak = (statistics.median(column) for column in zip(*rows))
        print(f"{name:8} {cpu:7.2f} CPU seconds a step, {wall:6.2f} s wall, peak {peak / 2**20:6.0f} MiB")
    for index, what in enumerate(["CPU", "wall", "peak memory"]):
        ratios = [p[index] / w[index] for w, p in zip(table["winnow"], table["PyTorch"])]
        print(f"PyTorch / winnow, {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


main()
