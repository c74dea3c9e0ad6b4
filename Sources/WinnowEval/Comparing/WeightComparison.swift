import WinnowCore
import WinnowIO
import WinnowModels
import WinnowWeights

/// Two models' matrices of the same name side by side.
public struct WeightComparison: Sendable, Equatable {
    public struct Side: Sendable, Equatable {
        public var format: String
        public var shape: [Int]
        public var zeros: Int
        public var bytes: Int
    }

    public var name: String
    /// nil where a model has no such matrix.
    public var first: Side?
    public var second: Side?
    /// The norm of the difference over the norm of the first; nil where shapes differ.
    public var relativeError: Double?

    /// All matrices of the blocks, in the first model's order, then those that only the second has.
    public static func all(_ first: LanguageModel, _ second: LanguageModel, on pool: KernelPool)
        -> [WeightComparison]
    {
        func matrices(_ model: LanguageModel) -> [(String, WeightMatrix)] {
            model.blocks.flatMap { block -> [(String, WeightMatrix)] in
                block.linears.map { ($0.parameter.name, inOneOrder($0.parameter, model.configuration)) }
            }
        }
        let others = Dictionary(matrices(second), uniquingKeysWith: { first, _ in first })
        let own = matrices(first)
        var result = own.map { name, matrix in WeightComparison(name, matrix, others[name], pool) }
        let known = Set(own.map(\.0))
        for (name, matrix) in matrices(second) where !known.contains(name) {
            result.append(WeightComparison(name, nil, matrix, pool))
        }
        return result
    }

    /// Rows of q and k as Hugging Face has them: GGUF files of some families pair them otherwise.
    private static func inOneOrder(_ parameter: Parameter, _ shape: ModelConfiguration) -> WeightMatrix {
        let matrix = parameter.matrix
        guard shape.rotaryStyle == .interleaved, let heads = shape.rotaryHeads(of: parameter.name) else {
            return matrix
        }
        let order = rotaryRowOrder(heads: heads, headWidth: shape.headWidth, from: .interleaved, to: .halves)
        return (try? matrix.permutingRows(order)) ?? matrix
    }

    private init(_ name: String, _ a: WeightMatrix?, _ b: WeightMatrix?, _ pool: KernelPool) {
        self.name = name
        first = a.map { Side($0, pool) }
        second = b.map { Side($0, pool) }
        guard let a, let b, a.rows == b.rows, a.columns == b.columns else { return }
        var (difference, norm) = (0.0, 0.0)
        for (x, y) in zip(a.floats(on: pool), b.floats(on: pool)) {
            difference += Double(x - y) * Double(x - y)
            norm += Double(x) * Double(x)
        }
        relativeError = norm > 0 ? (difference / norm).squareRoot() : difference > 0 ? .infinity : 0
    }
}

extension WeightComparison.Side {
    init(_ matrix: WeightMatrix, _ pool: KernelPool) {
        format = matrix.format.name
        shape = [matrix.rows, matrix.columns]
        zeros = matrix.zeros(on: pool)
        bytes = matrix.byteCount
    }
}
