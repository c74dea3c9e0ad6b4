import WinnowJSON
import WinnowWeights

/// What pruning made of a model, layer by layer.
public struct PruningReport: Sendable, Equatable {
    public let goal: SparsityGoal
    public let layers: [LayerReport]

    /// Weights of the prunable layers: the denominator of ``sparsity``.
    public var prunable: Int { layers.reduce(0) { $0 + $1.count } }
    /// Weights that are exactly zero.
    public var zeros: Int { layers.reduce(0) { $0 + $1.zeros } }
    /// Weights that masks prune.
    public var pruned: Int { layers.reduce(0) { $0 + $1.pruned } }
    public var sparsity: Double { prunable > 0 ? Double(zeros) / Double(prunable) : 0 }
    /// Bytes of the prunable layers, masks and scales with them.
    public var bytes: Int { layers.reduce(0) { $0 + $1.bytes } }
    public var bytesBefore: Int { layers.reduce(0) { $0 + $1.bytesBefore } }
    /// Stored bits of a prunable weight.
    public var bitsPerWeight: Double { prunable > 0 ? Double(bytes) * 8 / Double(prunable) : 0 }

    /// The formats of the layers, each once, in order of appearance: `masked-q4_1`.
    public var formats: [String] {
        var seen: [String] = []
        for layer in layers where !seen.contains(layer.format) { seen.append(layer.format) }
        return seen
    }

    /// What a reader must know and would not guess.
    public var notes: [String] {
        var notes: [String] = []
        let grown = layers.filter(\.grew)
        if !grown.isEmpty {
            let formats = Set(grown.map(\.format)).sorted().joined(separator: ", ")
            let limit =
                grown.compactMap { WeightFormats.named($0.format) }.map(StoredForm.breakEven).max() ?? 0
            notes.append(
                "\(grown.count) of \(layers.count) matrices grew: a mask over \(formats) saves bytes only above "
                    + "\(limit * 100) % zeros")
        }
        let dense = layers.filter {
            $0.format == $0.formatBefore && !$0.format.hasPrefix("masked") && $0.pruned > 0
        }
        if !dense.isEmpty {
            let formats = Set(dense.map(\.format)).sorted().joined(separator: ", ")
            notes.append(
                "\(formats) has no masked layout: zeros are stored like other weights and save no bytes "
                    + "(--store f16, int8 or int4 does)")
        }
        let emptyRows = layers.filter { $0.emptyRows > 0 }
        if !emptyRows.isEmpty {
            notes.append(
                "\(emptyRows.reduce(0) { $0 + $1.emptyRows }) rows of \(emptyRows.count) matrices lost every weight"
            )
        }
        let dead = layers.filter { ($0[figure: "deadChannels"] ?? 0) > 0 }
        if !dead.isEmpty {
            let channels = dead.reduce(0) { $0 + Int($1[figure: "deadChannels"]!) }
            notes.append(
                "\(channels) input channels of \(dead.count) matrices are zero in all of the calibration text: "
                    + "their weights were pruned")
        }
        let raised = layers.filter {
            ($0[figure: "damping"] ?? 0) > ($0[figure: "dampingAsked"] ?? .infinity)
        }
        if !raised.isEmpty {
            notes.append(
                "\(raised.count) matrices have inputs too alike to solve for: damping was raised, up to "
                    + "\(raised.map { $0[figure: "damping"]! }.max()!); more calibration text helps")
        }
        return notes
    }

    /// For `winnow.json`.
    public var json: JSONObject {
        JSONObject([
            ("sparsity", .number(sparsity)), ("zeros", .integer(Int64(zeros))),
            ("pruned", .integer(Int64(pruned))), ("prunable", .integer(Int64(prunable))),
            ("prunableBytes", .integer(Int64(bytes))), ("prunableBytesBefore", .integer(Int64(bytesBefore))),
            ("bitsPerWeight", .number(bitsPerWeight)),
            ("layers", .array(layers.map { .object($0.json) })),
        ])
    }
}

extension LayerReport {
    var json: JSONObject {
        var json = JSONObject([
            ("name", .string(name)), ("shape", [.integer(Int64(rows)), .integer(Int64(columns))]),
            ("format", .string(format)), ("formatBefore", .string(formatBefore)),
            ("pruned", .integer(Int64(pruned))), ("zeros", .integer(Int64(zeros))),
            ("bytes", .integer(Int64(bytes))), ("bytesBefore", .integer(Int64(bytesBefore))),
            ("maskSHA256", .string(maskSHA256)),
        ])
        for figure in figures { json[figure.name] = .number(figure.value) }
        return json
    }
}
