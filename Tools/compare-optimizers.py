#!/usr/bin/env python3
"""Times the optimizer passes of CWinnow against torch.optim in one process, in turns, one thread.

    python Tools/compare-optimizers.py [WEIGHTS]

Run with torch, from the repository's root; clang must be there. Prints CPU nanoseconds a weight, medians of runs, for
each instruction set, and how far the values are apart after ten steps. The masked pass keeps half of the weights.
"""
import ctypes
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch

RUNS = 9
RATE, BETA1, BETA2, EPSILON, DECAY = 1e-3, 0.9, 0.999, 1e-8, 0.01


class Adam(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in (
        "scale", "beta1", "rest1", "beta2", "rest2", "root", "epsilon", "step", "keep")]

    def __init__(self, step):
        super().__init__(
            1, BETA1, 1 - BETA1, BETA2, 1 - BETA2, (1 - BETA2**step) ** -0.5, EPSILON, RATE / (1 - BETA1**step),
            1 - RATE * DECAY)


class SGD(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in ("scale", "decay", "momentum", "rest", "rate")] + [
        ("nesterov", ctypes.c_bool)]


def library(folder):
    path = pathlib.Path(folder) / "libwinnow.so"
    sources = [str(p) for p in pathlib.Path("Sources/CWinnow").glob("**/*.c")]
    subprocess.run(
        ["clang", "-O2", "-fPIC", "-shared", "-w", "-ISources/CWinnow/include", *sources, "-o", str(path), "-lm",
         "-lpthread"], check=True)
    return ctypes.CDLL(str(path))


def address(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def main():
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10 << 20
    count -= count % 1024
    with tempfile.TemporaryDirectory() as folder:
        winnow = library(folder)
    size = ctypes.c_size_t(count)
    generator = torch.Generator().manual_seed(1)
    start, gradient = (torch.randn(count, generator=generator) for _ in range(2))
    bits = torch.randint(0, 256, (count // 8,), dtype=torch.uint8, generator=generator)

    values, first, second = start.clone(), torch.zeros(count), torch.zeros(count)
    momentum = torch.zeros(count)

    def adam(step, mask=None):
        winnow.wn_adam_pass(
            address(values), address(gradient), address(first), address(second), mask, size, ctypes.byref(Adam(step)))

    def sgd(step):
        c = SGD(1, 0, 0.9, 1, RATE, False)
        winnow.wn_sgd_pass(address(values), address(gradient), address(momentum), None, size, ctypes.byref(c))

    reference = {}
    for name, make in {
        "torch AdamW": lambda p: torch.optim.AdamW([p], lr=RATE),
        "torch AdamW fused": lambda p: torch.optim.AdamW([p], lr=RATE, fused=True),
        "torch SGD": lambda p: torch.optim.SGD([p], lr=RATE, momentum=0.9),
        "torch SGD fused": lambda p: torch.optim.SGD([p], lr=RATE, momentum=0.9, fused=True),
    }.items():
        parameter = torch.nn.Parameter(start.clone())
        parameter.grad = gradient
        reference[name] = (make(parameter), parameter)

    runs = {f"winnow {name}": call for name, call in {
        "AdamW": adam, "AdamW under a mask": lambda s: adam(s, address(bits)), "SGD": sgd}.items()}
    runs |= {name: (lambda step, o=optimizer: o.step()) for name, (optimizer, _) in reference.items()}
    for isa, isa_name in enumerate(("scalar", "avx2", "avx512", "neon")):
        if not winnow.wn_isa_select(isa):
            continue
        times = {name: [] for name in runs}
        for step in range(1, RUNS + 1):
            for name, run in runs.items():
                begin = time.process_time()
                run(step)
                times[name].append(time.process_time() - begin)
        print(isa_name, ", ".join(
            f"{name} {statistics.median(t) / count * 1e9:.2f}" for name, t in times.items()), "ns a weight")
    values.copy_(start), first.zero_(), second.zero_()
    parameter = torch.nn.Parameter(start.clone())
    parameter.grad = gradient
    optimizer = torch.optim.AdamW([parameter], lr=RATE)
    for step in range(1, 11):
        adam(step)
        optimizer.step()
    print(f"largest difference after ten steps of AdamW: {(values - parameter).abs().max().item():.1e}")


if __name__ == "__main__":
    main()
