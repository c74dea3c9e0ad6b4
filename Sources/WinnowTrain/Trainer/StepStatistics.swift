import WinnowCore
import WinnowJSON
import WinnowModels

/// What a step did to each parameter, and what passed each block: made on request, as it reads all gradients and runs
/// the step's first batch once more.
public struct StepStatistics: Sendable, Equatable {
    public struct Parameter: Sendable, Equatable {
        public var name: String
        /// Length of the gradient, before clipping; pruned weights don't count.
        public var gradientNorm: Double
        /// Length of the weights before the step.
        public var weightNorm: Double
        /// Length of the change over that of the weights, of at most ``StepStatistics/sample`` weights evenly spread.
        public var updateRatio: Double
        /// Share of weights that are zero after the step.
        public var zeros: Double
    }

    /// Hidden states after a block, the last one's after the final norm.
    public struct Block: Sendable, Equatable {
        public var rootMeanSquare: Double
        public var largest: Double
    }

    /// Weights of a parameter that are kept to see how far they move.
    public static let sample = 65_536

    public var parameters: [Parameter]
    public var blocks: [Block]

    public var json: JSONObject {
        JSONObject([
            (
                "parameters",
                .array(
                    parameters.map {
                        [
                            "name": .string($0.name), "gradientNorm": .number($0.gradientNorm),
                            "weightNorm": .number($0.weightNorm), "updateRatio": .number($0.updateRatio),
                            "zeros": .number($0.zeros),
                        ]
                    })
            ),
            (
                "blocks",
                .array(
                    blocks.map {
                        ["rootMeanSquare": .number($0.rootMeanSquare), "largest": .number($0.largest)]
                    })
            ),
        ])
    }

    public init?(_ json: JSONValue) {
        guard let parameters = json["parameters"]?.array, let blocks = json["blocks"]?.array else {
            return nil
        }
        // A number that was not finite is written as null.
        self.parameters = parameters.map {
            Parameter(
                name: $0["name"]?.string ?? "", gradientNorm: $0["gradientNorm"]?.number ?? .nan,
                weightNorm: $0["weightNorm"]?.number ?? .nan, updateRatio: $0["updateRatio"]?.number ?? .nan,
                zeros: $0["zeros"]?.number ?? .nan)
        }
        self.blocks = blocks.map {
            Block(
                rootMeanSquare: $0["rootMeanSquare"]?.number ?? .nan, largest: $0["largest"]?.number ?? .nan)
        }
    }

    /// What is known before the optimizer's step.
    struct Before {
        private let norms: [Double]
        private let samples: [[Float]]
        private let blocks: [Block]

        init(_ parameters: [ParameterTraining], _ twin: DecoderTwin, _ batch: DecoderBatch) throws {
            norms = parameters.map { length($0.values) }
            samples = parameters.map { parameter in
                stride(from: 0, to: parameter.count, by: step(parameter.count)).map { parameter.values[$0] }
            }
            var blocks: [Block] = []
            _ = try twin.context.withoutTape {
                try twin.hidden(batch) { _, states in
                    let values = UnsafeBufferPointer(start: states.base, count: states.count)
                    let largest = values.reduce(Float(0)) { max($0, abs($1)) }
                    blocks.append(
                        Block(
                            rootMeanSquare: length(values) / Double(values.count).squareRoot(),
                            largest: Double(largest)))
                }
            }
            self.blocks = blocks
        }

        /// - Parameter gradients: of the step.
        func after(_ parameters: [ParameterTraining], _ gradients: GradientNorm) -> StepStatistics {
            let made = parameters.enumerated().map { index, parameter -> Parameter in
                var (change, own) = (0.0, 0.0)
                for (place, old) in samples[index].enumerated() {
                    let moved = Double(parameter.values[place * step(parameter.count)] - old)
                    change += moved * moved
                    own += Double(old) * Double(old)
                }
                let zeros = parameter.values.reduce(0) { $0 + ($1 == 0 ? 1 : 0) }
                return Parameter(
                    name: parameter.name, gradientNorm: gradients.squares[index].squareRoot(),
                    weightNorm: norms[index],
                    updateRatio: own > 0 ? (change / own).squareRoot() : 0,
                    zeros: Double(zeros) / Double(parameter.count))
            }
            return StepStatistics(parameters: made, blocks: blocks)
        }
    }

    init(parameters: [Parameter], blocks: [Block]) {
        self.parameters = parameters
        self.blocks = blocks
    }
}

private func step(_ count: Int) -> Int { (count + StepStatistics.sample - 1) / StepStatistics.sample }

private func length(_ values: some Sequence<Float>) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
}
