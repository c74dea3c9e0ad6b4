import Testing
import WinnowCore
import WinnowIO
import WinnowTrain

/// Ten steps against torch.optim, transformers.Adafactor, lion-pytorch and torch-SM3
/// (Tools/make-optimizer-fixtures.py).
@Suite struct ReferenceOptimizerTests {
    private let file: SafetensorsFile
    private let pool: KernelPool

    init() throws {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        file = try SafetensorsFile(parts.joined(separator: "/") + "/Fixtures/optimizers.safetensors")
        pool = try KernelPool(threads: 2)
    }

    private static let cases: [(name: String, optimizer: any ParameterOptimizer)] = [
        ("adamw", AdamW(AdamRule(beta2: 0.95, weightDecay: 0.1))),
        ("adamw-plain", AdamW(AdamRule(weightDecay: 0))),
        ("sgd", SGD(SGDRule(dampening: 0.1, weightDecay: 0.05))),
        ("sgd-nesterov", SGD(SGDRule(momentum: 0.8, nesterov: true))),
        ("sgd-plain", SGD(SGDRule(momentum: 0))),
        ("lion", Lion(LionRule(weightDecay: 0.1))),
        ("adafactor", adafactor(scales: true, decay: 0.02)),
        ("adafactor-fixed", adafactor(scales: false, decay: 0)),
        ("sm3", SM3()),
        ("sm3-momentum", SM3(momentum: 0.9)),
    ]

    private static func adafactor(scales: Bool, decay: Double) -> Adafactor {
        var optimizer = Adafactor()
        optimizer.scalesByParameter = scales
        optimizer.weightDecay = decay
        return optimizer
    }

    private func floats(_ name: String) throws -> [Float] { try #require(file[name]?.floats()) }

    @Test(arguments: cases.map(\.name), ["matrix", "vector"])
    func tenStepsFollowTheReference(_ name: String, _ tensor: String) throws {
        let optimizer = try #require(Self.cases.first { $0.name == name }).optimizer
        let gradients = try floats("gradients.\(tensor)")
        let rows = tensor == "matrix" ? 9 : 1, count = rows * 37
        var parameter = TrainedParameter(
            rows: rows, columns: 37, values: try floats("start.\(tensor)"), optimizer: optimizer)
        for step in 1...10 {
            parameter.step(
                optimizer, gradients: Array(gradients[(step - 1) * count..<step * count]),
                rate: 0.01 / Double(step).squareRoot(), pool: pool)
            guard [1, 5, 10].contains(step) else { continue }
            let expected = try floats("\(name).\(step).\(tensor)")
            for (index, (value, right)) in zip(parameter.values, expected).enumerated() {
                #expect(abs(value - right) <= 1e-6 * max(1, abs(right)), "step \(step), element \(index)")
            }
        }
    }

    @Test(arguments: [0.5, 1e6]) func clippingFollowsTheReference(_ limit: Double) throws {
        let name = limit == 0.5 ? "clip.0.5" : "clip.1e+06"
        let memory = SlotMemory([
            (9, try floats("start.matrix"), Array(try floats("gradients.matrix")[..<333]), nil),
            (1, try floats("start.vector"), Array(try floats("gradients.vector")[..<37]), nil),
        ])
        let clipped = try floats("\(name).matrix"), norm = try floats("\(name).norm")[0]
        let measured = GradientNorm(memory.slots, pool: pool)
        #expect(abs(Float(measured.total) - norm) <= 1e-6 * norm)
        let scale = measured.scale(limit: limit)
        for index in 0..<333 {
            #expect(
                abs(memory.slots[0].gradients[index] * scale - clipped[index]) <= 1e-6 * abs(clipped[index]))
        }
    }
}
