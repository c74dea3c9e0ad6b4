import Testing
import WinnowCore

@Suite struct OpTests {
    /// Values against a naive float64 twin, gradients of a random sum of them against the twin's central
    /// differences; under every instruction set of this machine, on one thread and on three.
    @Test(arguments: OpCase.all) func valuesAndGradients(_ op: OpCase) throws {
        var random = Random(seed: 7)
        let inputs = op.shapes.map { shape in
            (0..<shape.reduce(1, *)).map { _ in
                op.range.lowerBound + random.uniform() * (op.range.upperBound - op.range.lowerBound)
            }
        }
        let doubles = inputs.map { $0.map(Double.init) }
        let expected = op.twin(doubles)
        let probe = expected.map { _ in expected.count == 1 ? 1 : Double(random.uniform()) - 0.5 }
        let slopes = differences(op, doubles, probe, &random)
        var first: ([UInt32], [[UInt32]])?
        for isa in InstructionSet.allCases where isa.isAvailable {
            for threads in [1, 3] {
                let (values, gradients) = try isa.run { try run(op, inputs, probe, threads: threads) }!
                for (index, value) in values.enumerated() {
                    let error = abs(Double(value) - expected[index])
                    try #require(error < 2e-5 * (1 + abs(expected[index])), "\(isa) value \(index)")
                }
                for (input, index, slope) in slopes {
                    let error = abs(Double(gradients[input][index]) - slope)
                    let scale = 1 + (gradients[input].map { Double(abs($0)) }.max() ?? 0)
                    try #require(error < 3e-5 * scale, "\(isa) gradient \(index) of input \(input)")
                }
                // The same bits for any number of threads.
                let bits = (values.map(\.bitPattern), gradients.map { $0.map(\.bitPattern) })
                if threads == 1 { first = bits } else { #expect(bits == first!) }
            }
        }
    }

    private func run(
        _ op: OpCase, _ inputs: [[Float]], _ probe: [Double], threads: Int
    ) throws -> (values: [Float], gradients: [[Float]]) {
        let context = OpContext(try KernelPool(threads: threads))
        let leaves = zip(inputs, op.shapes).map { Variable(asking: Tensor($0, shape: $1)) }
        let output = op.run(context, leaves)
        let values = output.value.floats()!
        var loss = output
        if output.count > 1 {
            let weights = Variable(Tensor(probe.map(Float.init), shape: [1, output.count]))
            loss = context.linear(output.reshaped([1, output.count]), weights)
        }
        context.backward(loss)
        let gradients = leaves.map { leaf -> [Float] in
            guard let block = context.gradient(of: leaf) else { return [] }
            return Array(UnsafeBufferPointer(start: block.base, count: block.count))
        }
        return (values, gradients)
    }

    /// Central differences of the twin at up to 60 elements of each input.
    private func differences(
        _ op: OpCase, _ inputs: [[Double]], _ probe: [Double], _ random: inout Random
    ) -> [(input: Int, index: Int, slope: Double)] {
        let step = 1e-5
        func value(_ inputs: [[Double]]) -> Double {
            zip(op.twin(inputs), probe).reduce(0) { $0 + $1.0 * $1.1 }
        }
        var result: [(Int, Int, Double)] = []
        for input in inputs.indices {
            let count = inputs[input].count
            let chosen =
                count <= 24
                ? Array(0..<count) : (0..<24).map { _ in Int.random(in: 0..<count, using: &random) }
            for index in chosen {
                var moved = inputs
                moved[input][index] += step
                let above = value(moved)
                moved[input][index] -= 2 * step
                result.append((input, index, (above - value(moved)) / (2 * step)))
            }
        }
        return result
    }

    @Test func nothingIsRecordedWithoutAnAskingInput() throws {
        let context = OpContext(try KernelPool(threads: 1))
        let x = Variable(Tensor([1, 2, 3], shape: [1, 3]))
        let w = Variable(asking: Tensor([1, 0, 2], shape: [1, 3]))
        #expect(!context.add(x, x).asksGradient)
        #expect(context.linear(x, w).asksGradient)
        let untaped = context.withoutTape { context.linear(x, w) }
        #expect(!untaped.asksGradient)
    }

    @Test func gradientsOfAParameterAddUp() throws {
        let context = OpContext(try KernelPool(threads: 1))
        var gradient = Buffer<Float>(count: 2)
        gradient.withMutableElements { sink in
            for _ in 0..<3 {
                let w = Variable(Tensor([3, 4], shape: [1, 2]), gradient: sink.baseAddress!)
                context.backward(context.linear(Variable(Tensor([1, -2], shape: [1, 2])), w))
            }
            #expect(Array(sink) == [3, -6])
        }
    }

    @Test func aDeepChainIsLetGo() throws {
        let context = OpContext(try KernelPool(threads: 1))
        let start = Variable(asking: Tensor([1]))
        var value = start
        for _ in 0..<100_000 { value = context.scale(value, by: 1) }
        // Thrown away without a backward pass: a chain that let go recursively would run out of stack.
        value = context.scale(start, by: 2)
        context.backward(value)
        let block = try #require(context.gradient(of: start))
        #expect(block.base[0] == 2)
    }

    @Test func stepsOfOneShapeUseTheSameMemory() throws {
        let context = OpContext(try KernelPool(threads: 1))
        let x = Tensor([Float](repeating: 0.5, count: 640), shape: [10, 64])
        let w = Tensor([Float](repeating: 0.25, count: 64 * 64), shape: [64, 64])
        var bytes: [Int] = []
        for _ in 0..<4 {
            let leaf = Variable(asking: w)
            var y = Variable(x)
            for _ in 0..<5 { y = context.gate(.silu, context.linear(y, leaf)) }
            context.backward(context.linear(y.reshaped([1, 640]), Variable(x.flattened)))
            bytes.append(context.memory.byteCount)
        }
        #expect(Set(bytes.dropFirst()).count == 1)
    }

    /// A run whose loss is not a number keeps saying so: what is seen of it must not be clamped into one.
    @Test(arguments: GateKind.allCases) func notANumberStays(_ kind: GateKind) throws {
        let context = OpContext(try KernelPool(threads: 1))
        let bad = Variable(Tensor([Float](repeating: .nan, count: 8), shape: [2, 4]))
        let gated = context.gate(kind, bad).value.floats()!
        #expect(gated.filter(\.isNaN).count == 8)
        let shape = AttentionShape(sequences: 1, length: 2, heads: 1, keyValueHeads: 1, headWidth: 4)
        let attended = context.attention(bad, bad, bad, shape).value.floats()!
        #expect(attended.filter(\.isNaN).count == 8)
        let loss = context.crossEntropy(bad, head: bad, LossTargets(meanOf: [0, 1]))
        #expect(loss.scalar.isNaN)
    }
}

extension Tensor {
    fileprivate var flattened: Tensor { Tensor(dtype: .f32, shape: [1, count], bytes: bytes) }
}
