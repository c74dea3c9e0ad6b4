import Testing
import WinnowCompress
import WinnowCore
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

@Suite struct SmoothQuantTests {
    private func logits(_ model: LanguageModel, _ mode: ActivationMode = .exact) throws -> [Float] {
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.activations = mode
        configuration.kvType = .f32
        configuration.logitRows = 20
        let runner = try ModelRunner(model, configuration)
        runner.begin()
        let tokens = (0..<20).map { TokenID(3 + $0 * 37 % 55) }
        try tokens.withUnsafeBufferPointer { try runner.append($0, to: runner.makeSequence(capacity: 32)) }
        try runner.run()
        return Array(try runner.logits(rows: 0..<20))
    }

    /// A few loud channels, as trained models have them.
    private func loudModel() throws -> LanguageModel {
        let model = try TinyLlama.model("tied")
        for block in model.blocks {
            for norm in [block.attentionNorm, block.feedForwardNorm].compactMap({ $0 }) {
                norm.weight.replace(
                    with: Tensor(
                        (norm.weight.vector.floats() ?? []).enumerated().map {
                            $0.offset % 16 == 3 ? $0.element * 40 : $0.element
                        }))
            }
        }
        return model
    }

    @Test func peaksMatchALoop() throws {
        let pool = try KernelPool(threads: 2)
        var random = Random(seed: 3)
        for width in [1, 31, 33, 257] {
            var statistics = ActivationStatistics(width: width, .peaks, windowLength: 5)
            var expected = [Float](repeating: 0, count: width)
            for tokens in [5, 10, 3] {
                let stride = width + 2
                let values = (0..<tokens * stride).map { _ in random.normal() }
                for token in 0..<tokens {
                    for channel in 0..<width {
                        expected[channel] = max(expected[channel], abs(values[token * stride + channel]))
                    }
                }
                values.withUnsafeBufferPointer {
                    statistics.add(
                        TapValues(
                            point: .attentionInput, base: $0.baseAddress!, stride: stride, tokens: tokens,
                            width: width), on: pool)
                }
            }
            #expect(statistics.peaks == expected)
            #expect(statistics.firstNotFinite == nil)
        }
        // A NaN stays, whatever follows it.
        var statistics = ActivationStatistics(width: 3, .peaks)
        for value: Float in [1, .nan, 2] {
            [0, value, 0].withUnsafeBufferPointer {
                statistics.add(
                    TapValues(point: .attentionInput, base: $0.baseAddress!, stride: 3, tokens: 1, width: 3),
                    on: pool)
            }
        }
        #expect(statistics.firstNotFinite == 1)
    }

    /// Equation 4 in float64 over the model's own matrices, group by group.
    @Test(arguments: [0.0, 0.5, 0.8, 1.0])
    func scalesMatchTheFormula(_ alpha: Double) throws {
        let model = try loudModel()
        let pool = try KernelPool(threads: 1)
        let block = model.blocks[0]
        let attention = block.attention
        let norm = try #require(block.attentionNorm)
        let queries = [attention.query, attention.key, attention.value].map(\.weight)
        let before = queries.map { $0.matrix.floats(on: pool) }
        let gains = norm.weight.vector.floats() ?? []
        let width = gains.count
        var statistics = ActivationStatistics(width: width, .peaks)
        var random = Random(seed: 9)
        var inputs = (0..<width).map { _ in abs(random.normal()) + 0.01 }
        inputs[2] = 0
        inputs.withUnsafeBufferPointer {
            statistics.add(
                TapValues(
                    point: .attentionInput, base: $0.baseAddress!, stride: width, tokens: 1, width: width),
                on: pool)
        }
        try SmoothQuant(smoothing(alpha)).prepare(
            ScalableBlock(block, form: .int8, isParallel: false, on: pool),
            statistics: [.attentionInput: statistics])
        for channel in 0..<width {
            var weight = 0.0
            for values in before {
                for row in 0..<values.count / width {
                    weight = max(weight, Double(abs(values[row * width + channel])))
                }
            }
            let scale = channel == 2 ? 1 : pow(Double(inputs[channel]), alpha) / pow(weight, 1 - alpha)
            #expect(
                abs(Double((norm.weight.vector.floats() ?? [])[channel]) * scale - Double(gains[channel]))
                    < 1e-5 * Double(abs(gains[channel])))
            for (parameter, values) in zip(queries, before) {
                let after = parameter.matrix.floats(on: pool)
                for row in 0..<values.count / width {
                    let place = row * width + channel
                    #expect(
                        abs(Double(after[place]) - Double(values[place]) * scale) <= 1e-6
                            * abs(Double(after[place])))
                }
            }
        }
    }

    @Test func withoutRoundingOutputsStay() throws {
        let model = try loudModel()
        let before = try logits(model)
        let report = try SequentialPruner(try method("smoothquant", ("round", "false")), threads: 2).prune(
            model, windows: TinyLlama.windows(3, length: 40))
        #expect(report.formats == ["f32"])
        let largest = before.map(abs).max()!
        for (a, b) in zip(before, try logits(model)) { #expect(abs(a - b) < 2e-4 * largest) }
    }

    /// With loud channels, W8A8 in float64 loses less of a layer's outputs after smoothing; the more, the louder.
    @Test(arguments: [30.0, 100.0])
    func losesLessThanRoundingWhereInputsAreLoud(_ loudness: Double) throws {
        let (rows, columns, tokens) = (24, 96, 40)
        var random = Random(seed: 8)
        let weights = (0..<rows * columns).map { _ in Double(random.normal()) }
        let inputs = (0..<tokens * columns).map {
            Double(random.normal()) * ($0 % columns % 32 == 5 ? loudness : 1)
        }
        /// Multiples of a step such that the largest magnitude is 127.
        func rounded(_ values: [Double]) -> [Double] {
            let step = values.map(abs).max()! / 127
            return values.map { ($0 / step).rounded() * step }
        }
        func loss(_ scales: [Double]) -> Double {
            let left = (0..<rows).map { row in
                rounded((0..<columns).map { weights[row * columns + $0] * scales[$0] })
            }
            var sum = 0.0
            for token in 0..<tokens {
                let right = rounded((0..<columns).map { inputs[token * columns + $0] / scales[$0] })
                for row in 0..<rows {
                    var difference = 0.0
                    for column in 0..<columns {
                        difference += left[row][column] * right[column]
                        difference -= weights[row * columns + column] * inputs[token * columns + column]
                    }
                    sum += difference * difference
                }
            }
            return sum
        }
        func peaks(_ values: [Double]) -> [Float] {
            (0..<columns).map { column in
                Float(stride(from: column, to: values.count, by: columns).map { abs(values[$0]) }.max()!)
            }
        }
        let scales = SmoothQuant.scales(inputs: peaks(inputs), weights: peaks(weights), alpha: 0.5)
        #expect(loss(scales) < 0.35 * loss(scales.map { _ in 1 }))
    }

    @Test func roundsToTheFormAskedFor() throws {
        let model = try loudModel()
        var pruner = SequentialPruner(try method("smoothquant"), threads: 2)
        pruner.store = .int8
        let report = try pruner.prune(model, windows: TinyLlama.windows(3, length: 40))
        #expect(report.formats == ["int8"])
        #expect(report.layers.allSatisfy { $0.formatBefore == "f32" && $0.bytesBefore == $0.count * 4 })
        #expect(try logits(model, .int8).allSatisfy(\.isFinite))
    }

    @Test func masksStay() throws {
        let model = try TinyLlama.model("tied-q8_0.gguf")
        _ = try SequentialPruner(try method("wanda"), threads: 2).prune(
            model, windows: TinyLlama.windows(3, length: 40))
        let masks = PrunableLayers(model).layers.map { $0.parameter.matrix.mask }
        var pruner = SequentialPruner(try method("smoothquant"), threads: 2)
        pruner.store = .int8
        _ = try pruner.prune(model, windows: TinyLlama.windows(3, length: 40))
        for (layer, mask) in zip(PrunableLayers(model).layers, masks) {
            let own = try #require(layer.parameter.matrix.mask)
            #expect(own.isSubset(of: try #require(mask)))
            #expect(layer.parameter.matrix.format.name == "masked-int8")
        }
    }

    @Test func powerIsChecked() {
        #expect(
            throws: ConfigurationError.badValue(key: "alpha", value: "1.5", expected: "0 to 1")
        ) { try method("smoothquant", ("alpha", "1.5")) }
    }
}

private func smoothing(_ alpha: Double) -> SmoothQuant.Configuration {
    var configuration = SmoothQuant.Configuration()
    configuration.alpha = alpha
    return configuration
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
