"""Times a Bert-base shape in Winnow, onnxruntime and DeepSparse: random weights, batch 1, in turns.

  python3 Tools/compare-encoders.py --winnow .build/release/winnow --tokens 128 --threads 2 --rounds 5

Needs onnx and onnxruntime; deepsparse (Python up to 3.11) where it is installed. Each round runs every engine once, each of
them the median of some texts; printed are the medians of the rounds and each round's ratio to Winnow's. Zeros of the
other engines are unstructured, as DeepSparse wants them; Winnow's are in blocks of four (block4-int8) or single (masked-int8).
Integers elsewhere are QuantizeLinear and MatMulInteger with scales known beforehand, as SparseML exports models; Winnow finds
a scale for each token as it runs, of 8 bits or 16.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, LAYERS, HEADS, INNER, VOCABULARY = 768, 12, 12, 3072, 30522
STEP = 0.03  # of 8-bit inputs: random weights need no calibration


class Graph:
    def __init__(self, tokens, sparsity, integers):
        self.tokens, self.sparsity, self.integers = tokens, sparsity, integers
        self.random = numpy.random.default_rng(1)
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, array):
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(array), name))
        return name

    def op(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x, inputs, outputs, quantized):
        weights = self.random.normal(0, 0.02, (inputs, outputs)).astype(numpy.float32)
        if self.sparsity:
            weights[self.random.random((inputs, outputs)) < self.sparsity] = 0
        bias = self.random.normal(0, 0.02, outputs).astype(numpy.float32)
        if not self.integers:
            return self.op("Add", self.op("MatMul", x, self.constant(weights)), self.constant(bias))
        scale = numpy.abs(weights).max() / 127
        codes = numpy.round(weights / scale).astype(numpy.int8)
        product = self.op("MatMulInteger", quantized, self.constant(codes), self.zero, self.constant(numpy.int8(0)))
        product = self.op("Add", product, self.constant(numpy.round(bias / (scale * STEP)).astype(numpy.int32)))
        return self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), self.constant(numpy.float32(scale * STEP)))

    def quantize(self, x):
        if not self.integers:
            return None
        self.zero = self.constant(numpy.uint8(128))
        return self.op("QuantizeLinear", x, self.constant(numpy.float32(STEP)), self.zero)

    def product(self, a, b):
        if not self.integers:
            return self.op("MatMul", a, b)
        a, zero = self.quantize(a), self.zero
        product = self.op("MatMulInteger", a, self.quantize(b), zero, self.zero)
        return self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), self.constant(numpy.float32(STEP * STEP)))

    def norm(self, x):
        mean = self.op("ReduceMean", x, axes=[-1])
        apart = self.op("Sub", x, mean)
        variance = self.op("ReduceMean", self.op("Pow", apart, self.constant(numpy.float32(2))), axes=[-1])
        deviation = self.op("Sqrt", self.op("Add", variance, self.constant(numpy.float32(1e-12))))
        ones, zeros = numpy.ones(WIDTH, numpy.float32), numpy.zeros(WIDTH, numpy.float32)
        return self.op("Add", self.op("Mul", self.op("Div", apart, deviation), self.constant(ones)), self.constant(zeros))

    def heads(self, x, order):
        shape = self.constant(numpy.array([1, self.tokens, HEADS, WIDTH // HEADS]))
        return self.op("Transpose", self.op("Reshape", x, shape), perm=order)

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.constant(numpy.float32(2**0.5))))
        twice = self.op("Mul", x, self.op("Add", erf, self.constant(numpy.float32(1))))
        return self.op("Mul", twice, self.constant(numpy.float32(0.5)))

    def block(self, x):
        quantized = self.quantize(x)
        q, k, v = (self.linear(x, WIDTH, WIDTH, quantized) for _ in range(3))
        scores = self.product(self.heads(q, [0, 2, 1, 3]), self.heads(k, [0, 2, 3, 1]))
        scores = self.op("Softmax", self.op("Div", scores, self.constant(numpy.float32(8))), axis=-1)
        mixed = self.op("Transpose", self.product(scores, self.heads(v, [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        mixed = self.op("Reshape", mixed, self.constant(numpy.array([1, self.tokens, WIDTH])))
        x = self.norm(self.op("Add", x, self.linear(mixed, WIDTH, WIDTH, self.quantize(mixed))))
        inner = self.gelu(self.linear(x, WIDTH, INNER, self.quantize(x)))
        return self.norm(self.op("Add", x, self.linear(inner, INNER, WIDTH, self.quantize(inner))))

    def save(self, path):
        table = self.constant(self.random.normal(0, 0.02, (VOCABULARY, WIDTH)).astype(numpy.float32))
        places = self.constant(self.random.normal(0, 0.02, (1, self.tokens, WIDTH)).astype(numpy.float32))
        x = self.norm(self.op("Add", self.op("Gather", table, "ids"), places))
        for _ in range(LAYERS):
            x = self.block(x)
        self.nodes.append(helper.make_node("Identity", [x], ["states"]))
        ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, self.tokens])
        states = helper.make_tensor_value_info("states", TensorProto.FLOAT, [1, self.tokens, WIDTH])
        graph = helper.make_graph(self.nodes, "bert", [ids], [states], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.save(model, path)


def winnow(arguments, form, sparsity, activations):
    command = [arguments.winnow, "bench", "--synthetic", "bert-base", "--tokens", str(arguments.tokens), "--format", form,
               "--sparsity", str(sparsity), "--activations", activations, "--threads", str(arguments.threads),
               "--repeats", "15", "--json", "--quiet"]
    return command, lambda text: json.loads(text)["millisecondsPerText"]


def other(arguments, engine, path):
    """This file again, as the process of one engine: threads that spin while they wait disturb nobody else."""
    command = [sys.executable, __file__, "--winnow", "", "--tokens", str(arguments.tokens), "--threads", str(arguments.threads),
               "--seconds", str(arguments.seconds), "--engine", engine, "--model", path]
    return command, lambda text: float(text.split()[-1])


def run_engine(arguments):
    ids = numpy.random.default_rng(2).integers(0, VOCABULARY, (1, arguments.tokens))
    if arguments.engine == "onnxruntime":
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
        run = lambda: session.run(None, {"ids": ids})
    else:
        import deepsparse
        engine = deepsparse.Engine(arguments.model, batch_size=1, num_cores=arguments.threads)
        run = lambda: engine.run([ids])
    run()
    times, end = [], time.perf_counter() + arguments.seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - begin))
    print(statistics.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--winnow", required=True)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each engine in a round")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        return run_engine(arguments)
    best = "Winnow 90 % block4-int8, 8-bit inputs"
    engines = {
        "Winnow int8": winnow(arguments, "int8", 0, "fast"),
        "Winnow 90 % masked-int8": winnow(arguments, "masked-int8", 0.9, "fast"),
        "Winnow 80 % block4-int8": winnow(arguments, "block4-int8", 0.8, "fast"),
        "Winnow 90 % block4-int8": winnow(arguments, "block4-int8", 0.9, "fast"),
        best: winnow(arguments, "block4-int8", 0.9, "int8"),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, sparsity, integers in [("f32", 0, False), ("int8", 0, True), ("80 % int8", 0.8, True), ("90 % int8", 0.9, True)]:
            path = str(pathlib.Path(folder, name.replace(" ", "").replace("%", "") + ".onnx"))
            Graph(arguments.tokens, sparsity, integers).save(path)
            if not sparsity:
                engines[f"onnxruntime {name}"] = other(arguments, "onnxruntime", path)
            if importlib.util.find_spec("deepsparse"):
                engines[f"DeepSparse {name}"] = other(arguments, "deepsparse", path)
        samples = {name: [] for name in engines}
        for _ in range(arguments.rounds):
            for name, (command, read) in engines.items():
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
                samples[name].append(read(output))
    print(f"Bert-base, {arguments.tokens} tokens, {arguments.threads} threads: milliseconds a text, median of {arguments.rounds} rounds")
    for name, times in sorted(samples.items(), key=lambda item: statistics.median(item[1])):
        ratios = [own / mine for own, mine in zip(times, samples[best])]
        print(f"{name:40} {statistics.median(times):7.1f}   {statistics.median(ratios):5.2f} times as long as {best}"
              f" ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
