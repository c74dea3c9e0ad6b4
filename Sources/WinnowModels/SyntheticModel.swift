import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowWeights

/// A shape to measure speed with, its weights random and made in memory.
public struct SyntheticShape: Sendable {
    public let name: String
    public let layers: Int
    public let width: Int
    public let feedForwardWidth: Int
    public let heads: Int
    public let keyValueHeads: Int
    public let vocabularySize: Int
    public let tiesEmbeddings: Bool
    /// A BERT; otherwise a Llama.
    public let isEncoder: Bool

    package init(
        name: String, layers: Int, width: Int, feedForwardWidth: Int, heads: Int, keyValueHeads: Int,
        vocabularySize: Int, tiesEmbeddings: Bool, isEncoder: Bool = false
    ) {
        self.name = name
        self.layers = layers
        self.width = width
        self.feedForwardWidth = feedForwardWidth
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.vocabularySize = vocabularySize
        self.tiesEmbeddings = tiesEmbeddings
        self.isEncoder = isEncoder
    }

    /// The shapes that `winnow bench --synthetic` knows.
    public static let all: [SyntheticShape] = [
        SyntheticShape(
            name: "llama-1b", layers: 16, width: 2048, feedForwardWidth: 8192, heads: 32, keyValueHeads: 8,
            vocabularySize: 32_000, tiesEmbeddings: false),
        SyntheticShape(
            name: "llama-135m", layers: 30, width: 576, feedForwardWidth: 1536, heads: 9, keyValueHeads: 3,
            vocabularySize: 49_152, tiesEmbeddings: true),
        SyntheticShape(
            name: "bert-base", layers: 12, width: 768, feedForwardWidth: 3072, heads: 12, keyValueHeads: 12,
            vocabularySize: 30_522, tiesEmbeddings: true, isEncoder: true),
    ]

    var configuration: ModelConfiguration { isEncoder ? encoderConfiguration : decoderConfiguration }

    private var decoderConfiguration: ModelConfiguration {
        ModelConfiguration(
            architecture: "llama", vocabularySize: vocabularySize, width: width, layers: layers, heads: heads,
            keyValueHeads: keyValueHeads, headWidth: width / heads, feedForwardWidth: feedForwardWidth,
            contextLength: 4096, ropeBase: 10_000, normEpsilon: 1e-5, tiesEmbeddings: tiesEmbeddings,
            bosID: nil, eosIDs: [], rotaryStyle: .halves, huggingFace: JSONObject())
    }
}

extension LanguageModel {
    /// A model with random weights: every block in `format` at `sparsity`, the head in `headFormat`.
    ///
    /// Matrices of one shape hold the same random values, each in memory of its own, so that decode reads as
    /// many distinct bytes as a real model's would.
    public static func synthetic(
        _ shape: SyntheticShape, format: WeightFormat, sparsity: Double, headFormat: WeightFormat,
        seed: UInt64
    ) throws -> LanguageModel {
        var weights = SyntheticWeights(sparsity: sparsity, seed: seed)
        if shape.isEncoder {
            return try syntheticEncoder(shape, format: format, headFormat: headFormat, &weights)
        }
        func linear(_ name: String, _ rows: Int, _ columns: Int, _ format: WeightFormat) throws -> Linear {
            Linear(try weights.matrix(name, rows, columns, format))
        }
        func norm(_ name: String) -> Norm {
            let ones = Tensor([Float](repeating: 1, count: shape.width))
            return Norm(weight: Parameter(name: name, value: .vector(ones)), epsilon: 1e-5)
        }
        let keyWidth = shape.width / shape.heads * shape.keyValueHeads
        let blocks = try (0..<shape.layers).map { layer in
            let prefix = "model.layers.\(layer)"
            return TransformerBlock(
                attentionNorm: norm("\(prefix).input_layernorm.weight"),
                attention: SelfAttention(
                    query: try linear("\(prefix).self_attn.q_proj.weight", shape.width, shape.width, format),
                    key: try linear("\(prefix).self_attn.k_proj.weight", keyWidth, shape.width, format),
                    value: try linear("\(prefix).self_attn.v_proj.weight", keyWidth, shape.width, format),
                    output: try linear("\(prefix).self_attn.o_proj.weight", shape.width, shape.width, format)),
                feedForwardNorm: norm("\(prefix).post_attention_layernorm.weight"),
                feedForward: FeedForward(
                    gate: try linear(
                        "\(prefix).mlp.gate_proj.weight", shape.feedForwardWidth, shape.width, format),
                    up: try linear(
                        "\(prefix).mlp.up_proj.weight", shape.feedForwardWidth, shape.width, format),
                    down: try linear(
                        "\(prefix).mlp.down_proj.weight", shape.width, shape.feedForwardWidth, format)))
        }
        return LanguageModel(
            configuration: shape.configuration,
            embedding: try weights.matrix(
                "model.embed_tokens.weight", shape.vocabularySize, shape.width, headFormat),
            blocks: blocks, finalNorm: norm("model.norm.weight"),
            head: shape.tiesEmbeddings
                ? nil : try weights.matrix("lm_head.weight", shape.vocabularySize, shape.width, headFormat))
    }
}

/// Random matrices: those of one shape and format hold the same values, each in memory of its own.
struct SyntheticWeights {
    private let sparsity: Double
    private var random: Random
    private var made: [[Int]: WeightMatrix] = [:]

    init(sparsity: Double, seed: UInt64) {
        self.sparsity = sparsity
        random = Random(seed: seed)
    }

    mutating func matrix(
        _ name: String, _ rows: Int, _ columns: Int, _ format: WeightFormat
    ) throws(WeightError) -> Parameter {
        let key = [rows, columns, Int(format.code.rawValue)]
        if let same = made[key] { return Parameter(name: name, value: .matrix(try same.copied())) }
        let matrix = try WeightMatrix.random(
            rows: rows, columns: columns, format: format, sparsity: sparsity, using: &random)
        made[key] = matrix
        return Parameter(name: name, value: .matrix(try matrix.copied()))
    }
}

extension WeightMatrix {
    /// The same matrix in memory of its own.
    package func copied() throws(WeightError) -> WeightMatrix {
        func copy(_ slice: StorageSlice) -> StorageSlice {
            StorageSlice(Storage(byteCount: slice.byteCount) { $0.copyMemory(from: slice.bytes) })
        }
        return try WeightMatrix(
            format: format, rows: rows, columns: columns, group: group,
            parts: Parts(
                values: copy(parts.values), mask: parts.mask.map(copy),
                rowOffsets: parts.rowOffsets.map(copy),
                scales: parts.scales.map(copy)),
            name: "copy")
    }

    /// Random codes of about unit-variance rows; a masked format keeps each weight with chance 1 - sparsity.
    static func random(
        rows: Int, columns: Int, format: WeightFormat, sparsity: Double, using random: inout Random
    ) throws(WeightError) -> WeightMatrix {
        guard format.canEncode else { throw .cannotEncode(name: "random weights", format: format.name) }
        let group = 64
        // Scales that give weights of about 1/sqrt(columns), so that activations stay of order one.
        let step = 1 / Float(columns).squareRoot() / Float(1 << (format.codeBits == 4 ? 2 : 6))
        let half = Float16(step).bitPattern
        let offset = Float16(-8 * step).bitPattern
        var mask: [UInt64] = []
        var offsets: [UInt32] = []
        var valueBytes = rows * format.rowBytes(columns: columns)
        if format.isMasked {
            let threshold = UInt64(min(max(1 - sparsity, 0), 1) * 256)
            offsets.append(0)
            var total = 0
            for _ in 0..<rows {
                for first in stride(from: 0, to: columns, by: 64) {
                    var word: UInt64 = 0
                    for byte in 0..<8 {
                        let draws = random.next()
                        for bit in 0..<8 where (draws >> UInt64(8 * bit)) & 255 < threshold {
                            word |= 1 << UInt64(byte * 8 + bit)
                        }
                    }
                    if columns - first < 64 { word &= (1 << UInt64(columns - first)) - 1 }
                    mask.append(word)
                    let kept = word.nonzeroBitCount
                    total += format.codeBits == 4 ? (kept + 1) / 2 : kept * format.codeBits / 8
                }
                offsets.append(UInt32(total))
            }
            valueBytes = total
        }
        let values = Storage(byteCount: valueBytes) { bytes in
            switch format.scales {
            case .block(let count) where !format.isMasked:
                let block = 32 * format.codeBits / 8 + 2 * count
                for start in stride(from: 0, to: bytes.count, by: block) {
                    for byte in start..<start + block {
                        bytes[byte] = UInt8(truncatingIfNeeded: random.next())
                    }
                    bytes.storeBytes(of: half, toByteOffset: start, as: UInt16.self)
                    if count == 2 { bytes.storeBytes(of: offset, toByteOffset: start + 2, as: UInt16.self) }
                }
            case .none:
                for index in 0..<bytes.count * 8 / format.codeBits {
                    let value = (random.uniform() - 0.5) * 64 * step
                    switch format.codeBits {
                    case 32: bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
                    default:
                        let bits =
                            format.name == "bf16"
                            ? UInt16(value.bitPattern >> 16) : Float16(value).bitPattern
                        bytes.storeBytes(of: bits, toByteOffset: index * 2, as: UInt16.self)
                    }
                }
            default:
                for index in 0..<bytes.count / 8 {
                    bytes.storeBytes(of: random.next(), toByteOffset: index * 8, as: UInt64.self)
                }
            }
        }
        let scales: StorageSlice? =
            switch format.scales {
            case .none, .inside: nil
            case .row: StorageSlice(copying: [Float](repeating: step, count: rows))
            case .group:
                StorageSlice(
                    copying: [UInt16](repeating: half, count: rows * ((columns + group - 1) / group)))
            case .block(let count):
                format.isMasked
                    ? StorageSlice(
                        copying: (0..<rows * columns / 32).flatMap { _ in
                            count == 2 ? [half, offset] : [half]
                        })
                    : nil
            }
        return try WeightMatrix(
            format: format, rows: rows, columns: columns, group: group,
            parts: Parts(
                values: StorageSlice(values), mask: format.isMasked ? StorageSlice(copying: mask) : nil,
                rowOffsets: format.isMasked ? StorageSlice(copying: offsets) : nil, scales: scales),
            name: "random \(format.name)")
    }
}
