#!/usr/bin/env python3
"""Makes Tests/Fixtures/optimizers.safetensors: ten steps of each optimizer by its reference implementation.

Run with torch, transformers, safetensors, lion-pytorch and torch-SM3, from the repository's root:

    python Tools/make-optimizer-fixtures.py Tests/Fixtures/optimizers.safetensors

A matrix and a vector, their gradients at ten steps, and the values after steps 1, 5 and 10 of each case. The learning
rate of step t (from 1) is 0.01 t^-0.5, as a schedule would give it.
"""
import pathlib
import sys

import torch
from lion_pytorch import Lion
from safetensors.torch import save_file
from SM3 import SM3
from transformers.optimization import Adafactor

STEPS = 10
CASES = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1),
    "adamw-plain": lambda p: torch.optim.AdamW(p, lr=1, weight_decay=0),
    "sgd": lambda p: torch.optim.SGD(p, lr=1, momentum=0.9, dampening=0.1, weight_decay=0.05),
    "sgd-nesterov": lambda p: torch.optim.SGD(p, lr=1, momentum=0.8, nesterov=True),
    "sgd-plain": lambda p: torch.optim.SGD(p, lr=1),
    "lion": lambda p: Lion(p, lr=1, betas=(0.9, 0.99), weight_decay=0.1),
    "adafactor": lambda p: Adafactor(p, lr=1, scale_parameter=True, relative_step=False, weight_decay=0.02),
    "adafactor-fixed": lambda p: Adafactor(p, lr=1, scale_parameter=False, relative_step=False),
    "sm3": lambda p: SM3(p, lr=1),
    "sm3-momentum": lambda p: SM3(p, lr=1, momentum=0.9),
}


def main(path):
    generator = torch.Generator().manual_seed(5)
    start = {"matrix": torch.randn(9, 37, generator=generator), "vector": torch.randn(37, generator=generator)}
    gradients = {
        name: torch.randn(STEPS, *value.shape, generator=generator) * torch.logspace(-3, 1, value.shape[-1])
        for name, value in start.items()
    }
    tensors = {f"start.{name}": value for name, value in start.items()}
    tensors |= {f"gradients.{name}": value for name, value in gradients.items()}
    for case, make in CASES.items():
        parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
        optimizer = make(list(parameters.values()))
        for step in range(1, STEPS + 1):
            optimizer.param_groups[0]["lr"] = 0.01 * step**-0.5
            for name, parameter in parameters.items():
                parameter.grad = gradients[name][step - 1].clone()
            optimizer.step()
            if step in (1, 5, 10):
                tensors |= {f"{case}.{step}.{name}": p.detach().clone() for name, p in parameters.items()}
    for limit in (0.5, 1e6):
        parameters = [torch.nn.Parameter(value.clone()) for value in start.values()]
        for parameter, name in zip(parameters, start):
            parameter.grad = gradients[name][0].clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        tensors[f"clip.{limit:g}.norm"] = norm.reshape(1).clone()
        tensors[f"clip.{limit:g}.matrix"] = parameters[0].grad.clone()
    save_file(tensors, pathlib.Path(path))


if __name__ == "__main__":
    main(sys.argv[1])
