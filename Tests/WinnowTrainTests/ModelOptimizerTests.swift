import Foundation
import Testing
import WinnowCore
import WinnowTrain
import WinnowWeights

@Suite struct ModelOptimizerTests {
    private let pool: KernelPool
    private let parameters = [
        ParameterDescription(name: "model.embed_tokens.weight", shape: [9, 8]),
        ParameterDescription(name: "model.layers.0.mlp.up_proj.weight", shape: [16, 8]),
        ParameterDescription(name: "model.layers.0.mlp.up_proj.bias", shape: [16]),
        ParameterDescription(name: "model.norm.weight", shape: [8]),
    ]

    init() throws { pool = try KernelPool(threads: 2) }

    private func memory(_ seed: UInt64) -> SlotMemory {
        SlotMemory(
            parameters.enumerated().map { index, parameter in
                let count = parameter.rows * parameter.columns
                return (
                    parameter.rows, TrainedParameter.numbers(count, seed: seed + UInt64(index)),
                    TrainedParameter.numbers(count, seed: 77 + UInt64(index)), nil
                )
            })
    }

    @Test func normsAndBiasesDoNotDecay() throws {
        var configuration = OptimizerConfiguration(.sgd)
        configuration.momentum = 0
        configuration.weightDecay = 0.5
        configuration.noDecay = ["*.embed_tokens.*"]
        let optimizer = try ModelOptimizer(configuration, parameters: parameters)
        #expect((0..<4).map(optimizer.decays) == [false, true, false, false])
        let memory = memory(1)
        let before = (0..<4).map(memory.values)
        for index in 0..<4 { memory.setGradients(index, [Float](repeating: 0, count: before[index].count)) }
        optimizer.step(memory.slots, rate: 0.1, pool: pool)
        for index in [0, 2, 3] { #expect(memory.values(index) == before[index]) }
        #expect(memory.values(1) != before[1])
    }

    @Test func aPatternThatMatchesNothingIsAnError() {
        var configuration = OptimizerConfiguration(.adamw)
        configuration.noDecay = ["*.embedding.*"]
        #expect(
            throws: OptimizerError.badValue(
                key: "no_decay", value: "*.embedding.*",
                expected: "the name of a parameter, such as model.embed_tokens.weight")
        ) { try ModelOptimizer(configuration, parameters: parameters) }
    }

    @Test func gradientsThatAreNotFiniteChangeNothing() throws {
        let optimizer = try ModelOptimizer(OptimizerConfiguration(), parameters: parameters)
        let memory = memory(1), before = (0..<4).map(memory.values), state = optimizer.tensors()
        memory.slots[2].gradients[3] = .infinity
        let norm = optimizer.step(memory.slots, rate: 0.1, pool: pool)
        #expect(norm.firstNotFinite == 2)
        #expect((0..<4).map(memory.values) == before)
        #expect(
            zip(optimizer.tensors(), state).allSatisfy {
                $0.tensor.bytes.bytes.elementsEqual($1.tensor.bytes.bytes)
            })
    }

    @Test func theNormDoesNotDependOnThreads() throws {
        let slots = SlotMemory([
            (1, TrainedParameter.numbers(100_003, seed: 1), TrainedParameter.numbers(100_003, seed: 2), nil),
            (
                50, TrainedParameter.numbers(50 * 77, seed: 1), TrainedParameter.numbers(50 * 77, seed: 3),
                TrainedParameter.mask(rows: 50, columns: 77, keeping: 0.3, seed: 4)
            ),
        ])
        let norms = try [1, 2, 3, 4].map { try GradientNorm(slots.slots, pool: KernelPool(threads: $0)) }
        #expect(norms.allSatisfy { $0 == norms[0] })
        let mask = try #require(slots.slots[1].mask)
        let kept = (0..<50 * 77).filter { mask[$0 / 77, $0 % 77] }
        let right = kept.reduce(0.0) {
            $0 + Double(slots.slots[1].gradients[$1]) * Double(slots.slots[1].gradients[$1])
        }
        #expect(abs(norms[0].squares[1] - right) <= 1e-12 * right)
    }

    @Test(arguments: OptimizerConfiguration.Kind.allCases) func allStateIsWrittenAndReadBack(
        _ kind: OptimizerConfiguration.Kind
    ) throws {
        var configuration = OptimizerConfiguration(kind)
        configuration.clipNorm = 1
        let straight = try ModelOptimizer(configuration, parameters: parameters), one = memory(1)
        for _ in 0..<3 { straight.step(one.slots, rate: 0.1, pool: pool) }
        let resumed = try ModelOptimizer(configuration, parameters: parameters)
        let two = SlotMemory(
            (0..<4).map {
                (
                    parameters[$0].rows, one.values($0),
                    Array(UnsafeBufferPointer(start: one.slots[$0].gradients, count: one.slots[$0].count)),
                    nil
                )
            })
        let saved = straight.tensors()
        try resumed.restore { name in saved.first { $0.name == name }?.tensor }
        straight.step(one.slots, rate: 0.1, pool: pool)
        resumed.step(two.slots, rate: 0.1, pool: pool)
        for index in 0..<4 { #expect(one.values(index) == two.values(index)) }
        #expect(throws: OptimizerError.missingState(parameter: "model.norm.weight", name: "steps")) {
            try resumed.restore { name in
                name.hasPrefix("model.norm") ? nil : saved.first { $0.name == name }?.tensor
            }
        }
    }

    private func configuration(_ json: String) throws -> OptimizerConfiguration {
        try JSONDecoder().decode(OptimizerConfiguration.self, from: Data(json.utf8))
    }

    @Test func recipesNameAnOptimizer() throws {
        #expect(try configuration(#""lion""#) == OptimizerConfiguration(.lion))
        var wanted = OptimizerConfiguration(.adamw)
        wanted.beta2 = 0.95
        wanted.weightDecay = 0.1
        wanted.state = .compressed
        wanted.clipNorm = 1
        wanted.noDecay = ["*.embed_tokens.weight"]
        let json = """
            {"kind": "adamw", "beta2": 0.95, "weight_decay": 0.1, "state": "compressed", "clip_norm": 1,
             "no_decay": ["*.embed_tokens.weight"]}
            """
        #expect(try configuration(json) == wanted)
        #expect(
            try JSONDecoder().decode(OptimizerConfiguration.self, from: JSONEncoder().encode(wanted))
                == wanted)
    }

    @Test(arguments: [
        (
            #"{"kind": "lion", "momentum": 0.9}"#,
            OptimizerError.unknownKey(
                key: "momentum",
                known: ["kind", "weight_decay", "clip_norm", "no_decay", "beta1", "beta2", "state"])
        ),
        (
            #"{"kind": "adam"}"#,
            .badValue(key: "kind", value: "adam", expected: "one of adamw, sgd, lion, adafactor, sm3")
        ),
        (#"{"beta1": 1}"#, .badValue(key: "beta1", value: "1.0", expected: "0 to less than 1")),
        (#"{"state": "packed"}"#, .badValue(key: "state", value: "packed", expected: "dense or compressed")),
    ]) func wrongSettingsAreNamed(_ json: String, _ error: OptimizerError) {
        #expect(throws: error) { try configuration(json) }
    }
}
