#!/usr/bin/env python3
"""Times a training step of a model whose linears have lost nine columns in ten, against the same model whole.

    python Tools/compare-column-training.py WINNOW TEXT [--threads 2] [--rounds 3] [--kept 0.1]

The shape of compare-training.py: 8 layers, width 384, 6 heads, FFN 1024, 8 x 256 tokens, float32, AdamW, vocabulary 8,192 or
what the text gives. Steps in turns; CPU seconds a step are those of a longer run less those of a shorter one.
"""
import argparse
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile

import numpy
from safetensors.numpy import load_file, save_file

SHORT, LONG = 2, 8


def seconds(winnow, model, text, threads, folder):
    def run(steps):
        shutil.rmtree(folder, ignore_errors=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [winnow, "finetune", "--model", model, "--text", text, "--keep-zeros", "--steps", str(steps), "--batch", "8",
             "--length", "256", "--learning-rate", "1e-4", "--threads", str(threads), "--output", folder, "--quiet"],
            check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    short = run(SHORT)
    return (run(LONG) - short) / (LONG - SHORT)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("winnow")
    parser.add_argument("text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kept", type=float, default=0.1)
    arguments = parser.parse_args()
    random = numpy.random.default_rng(0)
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(
            [arguments.winnow, "train", "--text", arguments.text, "--vocabulary-size", "8192", "--layers", "8", "--width", "384",
             "--heads", "6", "--feed-forward", "1024", "--length", "256", "--batch", "8", "--steps", "1", "--output", f"{work}/whole",
             "--quiet"], check=True, stdout=subprocess.DEVNULL)
        models = {"whole": f"{work}/whole/model", "columns": f"{work}/columns", "single weights": f"{work}/single"}
        for name in ("columns", "single weights"):
            shutil.copytree(models["whole"], models[name])
            for path in pathlib.Path(models[name]).glob("*.safetensors"):
                tensors = {key: value.copy() for key, value in load_file(path).items()}
                for key, value in tensors.items():
                    if ".layers." not in key or value.ndim < 2:
                        continue
                    shape = value.shape[1] if name == "columns" else value.shape
                    value *= random.random(shape) < arguments.kept
                save_file(tensors, path, metadata={"format": "pt"})
        times = {name: [] for name in models}
        for _ in range(arguments.rounds):
            for name, model in models.items():
                times[name].append(seconds(arguments.winnow, model, arguments.text, arguments.threads, f"{work}/run"))
        for name, own in times.items():
            ratios = [whole / mine for whole, mine in zip(times["whole"], own)]
            print(f"{name:15} {statistics.median(own):6.3f} CPU s a step, {statistics.median(ratios):.2f} times as fast as whole"
                  f" ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
