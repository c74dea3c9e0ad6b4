#!/usr/bin/env python3
"""Compares `winnow embed` with transformers in float32, as sentence-transformers pools.

Run with torch and transformers:

    python Tools/compare-embeddings.py WINNOW FOLDER TEXTS

FOLDER is one that sentence-transformers wrote (mean or cls pooling); TEXTS has a text on each line.
"""
import json
import pathlib
import subprocess
import sys

import torch
from transformers import AutoModel, AutoTokenizer

winnow, folder, texts = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
lines = [line for line in pathlib.Path(texts).read_text().splitlines() if line]
pooling = json.loads((folder / "1_Pooling/config.json").read_text())
tokenizer = AutoTokenizer.from_pretrained(folder)
tokenizer.backend_tokenizer.no_truncation()
tokenizer.backend_tokenizer.no_padding()
model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
for mode in ["exact", "fast"]:
    command = [winnow, "embed", "--model", folder, "--file", texts, "--activations", mode, "--json"]
    if mode == "exact":
        command += ["--kv-type", "f32"]
    ours = torch.tensor(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["embeddings"])
    worst, lengths = 1.0, []
    for line, vector in zip(lines, ours, strict=True):
        ids = tokenizer(line)["input_ids"]
        lengths.append(len(ids))
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0]
        theirs = states[0] if pooling["pooling_mode_cls_token"] else states.mean(0)
        worst = min(worst, torch.nn.functional.cosine_similarity(theirs, vector, dim=0).item())
    print(f"{mode}: {len(lines)} texts of {min(lengths)} to {max(lengths)} tokens, least cosine {worst:.8f}")
