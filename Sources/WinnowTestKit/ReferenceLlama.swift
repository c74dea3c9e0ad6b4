import WinnowCore
import WinnowIO
import WinnowModels
import WinnowText
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The plain Llama forward pass in float64 and naive loops: the oracle that the running model is held against.
public struct ReferenceLlama {
    private let shape: ModelConfiguration
    /// Of every parameter, row-major, under its Hugging Face key.
    public var weights: [String: [Double]]
    private let embedding: String
    private let head: String

    public init(_ model: LanguageModel) throws {
        shape = model.configuration
        var weights: [String: [Double]] = [:]
        let pool = try KernelPool(threads: 1)
        model.visit { parameter in
            switch parameter.value {
            case .matrix(let matrix): weights[parameter.name] = matrix.floats(on: pool).map(Double.init)
            case .vector(let vector): weights[parameter.name] = (vector.floats() ?? []).map(Double.init)
            }
        }
        self.weights = weights
        embedding = model.embedding.name
        head = (model.head ?? model.embedding).name
    }

    /// Logits at every position, `[tokens][vocabulary]`.
    public func logits(_ tokens: [TokenID]) -> [[Double]] {
        var hidden = embed(tokens)
        for layer in 0..<shape.layers { runBlock(layer, &hidden) }
        return hidden.map { row in
            multiply(head, norm(row, "model.norm.weight"))
        }
    }

    /// The embedding of tokens: the first block's input.
    public func embed(_ tokens: [TokenID]) -> [[Double]] {
        tokens.map { token in
            Array(weights[embedding]![Int(token) * shape.width..<(Int(token) + 1) * shape.width])
        }
    }

    /// Runs one block over the tokens of one sequence, in place.
    ///
    /// - Parameter observe: called with every token's values at each tap point.
    public func runBlock(
        _ layer: Int, _ hidden: inout [[Double]], observe: (TapPoint, [Double]) -> Void = { _, _ in }
    ) {
        let prefix = "model.layers.\(layer)"
        let normed = hidden.map { norm($0, "\(prefix).input_layernorm.weight") }
        for row in normed { observe(.attentionInput, row) }
        let queries = normed.enumerated().map { rotate(multiply("\(prefix).self_attn.q_proj.weight", $1), at: $0) }
        let keys = normed.enumerated().map { rotate(multiply("\(prefix).self_attn.k_proj.weight", $1), at: $0) }
        let values = normed.map { multiply("\(prefix).self_attn.v_proj.weight", $0) }
        let group = shape.heads / shape.keyValueHeads
        for token in hidden.indices {
            var heads = [Double](repeating: 0, count: shape.heads * shape.headWidth)
            for head in 0..<shape.heads {
                let own = head * shape.headWidth
                let shared = head / group * shape.headWidth
                var scores = (0...token).map { other in
                    (0..<shape.headWidth).reduce(0) { $0 + queries[token][own + $1] * keys[other][shared + $1] }
                        / Double(shape.headWidth).squareRoot()
                }
                let largest = scores.max()!
                scores = scores.map { exp($0 - largest) }
                let total = scores.reduce(0, +)
                for (other, score) in scores.enumerated() {
                    for index in 0..<shape.headWidth {
                        heads[own + index] += score / total * values[other][shared + index]
                    }
                }
            }
            observe(.attentionOutput, heads)
            add(multiply("\(prefix).self_attn.o_proj.weight", heads), to: &hidden[token])
            let input = norm(hidden[token], "\(prefix).post_attention_layernorm.weight")
            observe(.feedForwardInput, input)
            let gate = multiply("\(prefix).mlp.gate_proj.weight", input)
            let up = multiply("\(prefix).mlp.up_proj.weight", input)
            let gated = zip(gate, up).map { gate, up in gate / (1 + exp(-gate)) * up }
            observe(.feedForwardHidden, gated)
            add(multiply("\(prefix).mlp.down_proj.weight", gated), to: &hidden[token])
        }
    }

    private func add(_ x: [Double], to y: inout [Double]) { for index in y.indices { y[index] += x[index] } }

    private func norm(_ x: [Double], _ name: String) -> [Double] {
        let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
        let scale = 1 / (mean + Double(shape.normEpsilon)).squareRoot()
        return zip(x, weights[name]!).map { $0 * scale * $1 }
    }

    private func multiply(_ name: String, _ x: [Double]) -> [Double] {
        let matrix = weights[name]!
        return (0..<matrix.count / x.count).map { row in
            var sum = 0.0
            for column in x.indices { sum += matrix[row * x.count + column] * x[column] }
            return sum
        }
    }

    private func rotate(_ x: [Double], at position: Int) -> [Double] {
        var y = x
        let half = shape.headWidth / 2
        for head in stride(from: 0, to: x.count, by: shape.headWidth) {
            for index in 0..<half {
                let angle = Double(position) / pow(shape.ropeBase, Double(2 * index) / Double(shape.headWidth))
                let (first, second) =
                    shape.rotaryStyle == .interleaved
                    ? (head + 2 * index, head + 2 * index + 1) : (head + index, head + index + half)
                y[first] = x[first] * cos(angle) - x[second] * sin(angle)
                y[second] = x[first] * sin(angle) + x[second] * cos(angle)
            }
        }
        return y
    }
}
