#!/usr/bin/env python3
"""Makes training.json beside each tiny model of Tests/Fixtures/families: what PyTorch makes of a batch.

Run with torch and transformers, from the repository's root, after make_families.py:

    python Tools/make-training-fixtures.py Tests/Fixtures/families [NAME...]

Without names, of those that have one already: other families cannot be trained yet.
Holds the batch, its loss and samples of every parameter's gradient (in float64), and the losses of ten AdamW steps on
it (in float32). Matrices of Conv1D are turned to rows of outputs.
"""
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

SEQUENCES, LENGTH, SAMPLES, PRIME, STEPS = 2, 30, 96, 997, 10


def significant(value):
    return float(f"{value:.9g}")


def loss_of(model, ids):
    logits = model(ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def main(folder, names):
    for path in sorted(folder.iterdir()):
        if path.name not in names and (names or not (path / "training.json").exists()):
            continue
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
        generator = torch.Generator().manual_seed(3)
        ids = torch.randint(3, model.config.vocab_size, (SEQUENCES, LENGTH + 1), generator=generator)
        turned = {f"{name}.weight" for name, module in model.named_modules()
                  if isinstance(module, transformers.pytorch_utils.Conv1D)}
        double = AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float64, attn_implementation="eager").eval()
        loss = loss_of(double, ids)
        loss.backward()
        gradients = {}
        for name, parameter in double.named_parameters():
            values = (parameter.grad.T if name in turned else parameter.grad).flatten()
            count = values.numel()
            index = range(count) if count <= SAMPLES else [i * PRIME % count for i in range(SAMPLES)]
            gradients[name] = {"norm": significant(values.norm().item()),
                               "samples": [significant(values[i].item()) for i in index]}
        # Norms and biases do not decay.
        groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
                  {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            step_loss = loss_of(model, ids)
            step_loss.backward()
            optimizer.step()
            losses.append(significant(step_loss.item()))
        record = {"ids": ids.tolist(), "loss": significant(loss.item()), "samples": SAMPLES, "prime": PRIME,
                  "gradients": gradients, "adamw": {"rate": 3e-3, "beta2": 0.95, "decay": 0.1, "losses": losses}}
        text = json.dumps(record, separators=(",", ":"))
        (path / "training.json").write_text(text + "\n")
        print(path.name, len(text), "bytes, loss", record["loss"], "->", losses[-1])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
