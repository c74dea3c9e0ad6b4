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
from transformers import AutoModel, AutoModelForCausalLM

EAGER = dict(attn_implementation="eager", experts_implementation="eager")
SEQUENCES, LENGTH, SAMPLES, PRIME, STEPS = 2, 30, 96, 997, 10


def significant(value):
    return float(f"{value:.9g}")


def is_encoder(path):
    return json.loads((path / "config.json").read_text())["model_type"] in ("bert", "roberta")


def load(path, dtype):
    if is_encoder(path):
        return AutoModel.from_pretrained(path, dtype=dtype, add_pooling_layer=False, attn_implementation="eager").eval()
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **EAGER).eval()


def loss_of(model, ids, targets):
    if targets is not None:
        # Masked language modelling against the embedding: base files hold no head.
        logits = model(ids).last_hidden_state @ model.get_input_embeddings().weight.T
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    logits = model(ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def as_stored(model, parameters):
    """Names and gradients as checkpoints hold them: transformers keeps the experts of a block in two tensors."""
    own = ("w1", "w3", "w2") if model.config.model_type == "mixtral" else ("gate_proj", "up_proj", "down_proj")
    for name, gradient in parameters:
        if model.config.model_type == "mixtral":
            name = name.replace(".mlp.", ".block_sparse_moe.")
        if model.config.model_type == "gpt_neox":
            name = name.replace("lm_head", "embed_out")
        if name.endswith("experts.gate_up_proj"):
            for expert, both in enumerate(gradient):
                for part, values in zip(own, both.chunk(2)):
                    yield f"{name.removesuffix('gate_up_proj')}{expert}.{part}.weight", values
        elif name.endswith("experts.down_proj"):
            for expert, values in enumerate(gradient):
                yield f"{name.removesuffix('down_proj')}{expert}.{own[2]}.weight", values
        else:
            yield name, gradient


def main(folder, names):
    for path in sorted(folder.iterdir()):
        if path.name not in names and (names or not (path / "training.json").exists()):
            continue
        model = load(path, torch.float32)
        generator = torch.Generator().manual_seed(3)
        ids = torch.randint(3, model.config.vocab_size, (SEQUENCES, LENGTH + 1), generator=generator)
        turned = {f"{name}.weight" for name, module in model.named_modules()
                  if isinstance(module, transformers.pytorch_utils.Conv1D)}
        targets = None
        if is_encoder(path):
            asked = torch.arange(LENGTH + 1) % 5 == 2
            targets = torch.where(asked, ids, -1)
            ids = torch.where(asked, 4, ids)
        double = load(path, torch.float64)
        loss = loss_of(double, ids, targets)
        loss.backward()
        gradients = {}
        samples = 32 if getattr(model.config, "num_experts_per_tok", None) else SAMPLES
        for name, gradient in as_stored(double, [(n, p.grad) for n, p in double.named_parameters()]):
            values = (gradient.T if name in turned else gradient).flatten()
            count = values.numel()
            index = range(count) if count <= samples else [i * PRIME % count for i in range(samples)]
            gradients[name] = {"norm": significant(values.norm().item()),
                               "samples": [significant(values[i].item()) for i in index]}
        # Norms and biases do not decay.
        groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
                  {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            step_loss = loss_of(model, ids, targets)
            step_loss.backward()
            optimizer.step()
            losses.append(significant(step_loss.item()))
        record = {"ids": ids.tolist(), "loss": significant(loss.item()), "samples": samples, "prime": PRIME,
                  "gradients": gradients, "adamw": {"rate": 3e-3, "beta2": 0.95, "decay": 0.1, "losses": losses}}
        if targets is not None:
            record["targets"] = targets.tolist()
        text = json.dumps(record, separators=(",", ":"))
        (path / "training.json").write_text(text + "\n")
        print(path.name, len(text), "bytes, loss", record["loss"], "->", losses[-1])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
