import WinnowCompress
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

/// Masks the slow way, in float64: the second opinion on every method's selection.
enum Naive {
    /// Kept flags when the `pruned` smallest go, the lower index first among equals.
    static func kept(_ scores: [Double], pruned: Int) -> [Bool] {
        let order = scores.indices.sorted { scores[$0] < scores[$1] || (scores[$0] == scores[$1] && $0 < $1) }
        var kept = [Bool](repeating: true, count: scores.count)
        for index in order.prefix(pruned) { kept[index] = false }
        return kept
    }

    /// What a block is worth: the root of its squares; -1 where all of it is gone.
    static func norm(_ scores: ArraySlice<Double>) -> Double {
        let sum = scores.reduce(0) { $0 + ($1 > 0 ? $1 * $1 : 0) }
        return scores.count == 1 ? scores.first! : sum > 0 ? Double(Float(sum.squareRoot())) : scores.max()!
    }

    /// Rows of `|w| * sqrt(sumOfSquares)`, floor(columns * sparsity) pruned in each.
    static func wandaByRow(_ weights: [Double], _ sumOfSquares: [Double], sparsity: Double) -> [Bool] {
        rows(weights, sumOfSquares) { kept($0, pruned: Int(Double(sumOfSquares.count) * sparsity)) }
    }

    /// The same, n of each m consecutive kept.
    static func wandaNOfM(_ weights: [Double], _ sumOfSquares: [Double], n: Int, m: Int) -> [Bool] {
        rows(weights, sumOfSquares) { scores in
            stride(from: 0, to: scores.count, by: m).flatMap {
                kept(Array(scores[$0..<$0 + m]), pruned: m - n)
            }
        }
    }

    private static func rows(
        _ weights: [Double], _ sumOfSquares: [Double], _ select: ([Double]) -> [Bool]
    ) -> [Bool] {
        let columns = sumOfSquares.count
        return stride(from: 0, to: weights.count, by: columns).flatMap { start in
            select((0..<columns).map { abs(weights[start + $0]) * sumOfSquares[$0].squareRoot() })
        }
    }

    /// Wanda over a whole model, block by block, by the float64 oracle: kept flags under each layer's key.
    static func wanda(
        _ model: LanguageModel, _ windows: [[TokenID]], select: ([Double], [Double]) -> [Bool]
    ) throws -> [String: [Bool]] {
        var reference = try ReferenceLlama(model)
        var masks: [String: [Bool]] = [:]
        var hidden = windows.map(reference.embed)
        for (index, block) in model.blocks.enumerated() {
            var squares: [TapPoint: [Double]] = [:]
            for var window in hidden {
                reference.runBlock(index, &window) { point, values in
                    let old = squares[point] ?? [Double](repeating: 0, count: values.count)
                    squares[point] = zip(old, values).map { $0 + $1 * $1 }
                }
            }
            for (parameter, input) in block.linears {
                let weights = reference.weights[parameter.name]!
                let kept = select(weights, squares[input]!)
                masks[parameter.name] = kept
                reference.weights[parameter.name] = zip(weights, kept).map { $1 ? $0 : 0 }
            }
            for window in hidden.indices { reference.runBlock(index, &hidden[window]) }
        }
        return masks
    }
}

extension SparsityMask {
    var flags: [Bool] { (0..<rows).flatMap { row in (0..<columns).map { self[row, $0] } } }
}

/// The tiny models of the clone.
enum TinyLlama {
    static let folder: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/tiny-llama"
    }()

    static func open(_ name: String) throws -> Checkpoint { try Checkpoint.open("\(folder)/\(name)") }

    static func model(_ name: String) throws -> LanguageModel { try LanguageModel(open(name)) }

    /// Seeded windows of its vocabulary of 288.
    static func windows(_ count: Int, length: Int, seed: UInt64 = 0) -> [[TokenID]] {
        var random = Random(seed: seed)
        return (0..<count).map { _ in (0..<length).map { _ in TokenID(random.next() % 288) } }
    }
}

/// A method by its name, settings as text.
func method(_ name: String, _ settings: (String, String)...) throws -> any LayerMethod {
    try method(name, settings)
}

func method(_ name: String, _ settings: [(String, String)]) throws -> any LayerMethod {
    var object = JSONObject()
    for (key, value) in settings {
        object[key] =
            value == "true" || value == "false"
            ? .bool(value == "true") : Double(value).map { .number($0) } ?? .string(value)
    }
    return try MethodRegistry.standard.entry(name).make(object)
}
