#!/usr/bin/env python3
"""Writes what PyTorch makes of a batch on a whole model: the loss and every gradient, in float64, as safetensors.

    winnow convert --model smollm2-135m-q4_1 --to dense --output dense
    python Tools/make-model-gradients.py dense gradients.safetensors
    WINNOW_GRADIENTS=gradients.safetensors WINNOW_GRADIENTS_MODEL=dense swift test --filter ModelGradientTests

Too large to commit: 4 bytes a weight.
"""
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM


def main(folder, out, length=48):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(3, model.config.vocab_size, (1, length + 1), generator=generator)
    logits = model(ids[:, :-1], use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    tensors = {name: parameter.grad.float().contiguous() for name, parameter in model.named_parameters()}
    tensors["ids"] = ids.flatten().int()
    tensors["loss"] = loss.detach().double().reshape(1)
    save_file(tensors, out)
    print(f"loss {loss.item():.9f}, {len(tensors) - 2} gradients")


main(*sys.argv[1:3])
