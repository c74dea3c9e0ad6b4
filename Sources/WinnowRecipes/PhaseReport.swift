import WinnowCompress
import WinnowCore
import WinnowEval
import WinnowJSON
import WinnowModels
import WinnowTrain
import WinnowWeights

/// What one phase made of the model.
public struct PhaseReport: Sendable {
    public let summary: String
    /// Zeros and weights of the prunable layers, and the bytes that they take.
    public let zeros: Int
    public let prunable: Int
    public let bytes: Int
    public let formats: [String]
    public let notes: [String]
    public internal(set) var seconds = 0.0
    /// Of the model after the phase; nil without an evaluation.
    public internal(set) var perplexity: Perplexity.Result?
    /// nil for other phases than pruning and quantization.
    public let compression: PruningReport?
    /// The text's hash, steps, tokens and the last validation loss; nil for other phases.
    public let training: JSONObject?

    /// What was dropped; nil for other phases.
    public let structure: StructureReport?

    public var sparsity: Double { prunable > 0 ? Double(zeros) / Double(prunable) : 0 }
    public var bitsPerWeight: Double { prunable > 0 ? Double(bytes) * 8 / Double(prunable) : 0 }

    init(summary: String, compression report: PruningReport) {
        self.summary = summary
        zeros = report.zeros
        prunable = report.prunable
        bytes = report.bytes
        formats = report.formats
        notes = report.notes
        compression = report
        training = nil
        structure = nil
    }

    init(summary: String, structure report: StructureReport, layers: PrunableLayers, on pool: KernelPool) {
        self.init(summary: summary, layers: layers, training: nil, structure: report, on: pool)
    }

    init(
        summary: String, training run: TrainingRun, text: String, layers: PrunableLayers, on pool: KernelPool
    ) {
        let record = JSONObject([
            ("textSha256", .string(text)),
            ("steps", .integer(Int64(run.trainer.step))), ("tokens", .integer(Int64(run.trainer.tokens))),
            ("loss", run.records.last.map { .number($0.loss) } ?? .null),
            (
                "evalLoss",
                run.records.last { $0.evaluationLoss != nil }?.evaluationLoss.map { .number($0) } ?? .null
            ),
        ])
        self.init(summary: summary, layers: layers, training: record, structure: nil, on: pool)
    }

    private init(
        summary: String, layers: PrunableLayers, training: JSONObject?, structure: StructureReport?,
        on pool: KernelPool
    ) {
        self.summary = summary
        zeros = layers.zeros(on: pool)
        prunable = layers.weightCount
        bytes = layers.byteCount
        formats = layers.layers.reduce(into: []) { names, layer in
            let name = layer.parameter.matrix.format.name
            if !names.contains(name) { names.append(name) }
        }
        notes = []
        compression = nil
        self.training = training
        self.structure = structure
    }

    /// - Parameter layers: whether each layer is listed.
    public func json(layers: Bool) -> JSONObject {
        var json = JSONObject([
            ("phase", .string(summary)), ("sparsity", .number(sparsity)), ("zeros", .integer(Int64(zeros))),
            ("prunable", .integer(Int64(prunable))), ("prunableBytes", .integer(Int64(bytes))),
            ("bitsPerWeight", .number(bitsPerWeight)), ("format", .string(formats.joined(separator: ", "))),
            ("seconds", .number(seconds)),
        ])
        if let perplexity { json["perplexity"] = .number(perplexity.perplexity) }
        if let training { json["training"] = .object(training) }
        if let structure {
            json["structure"] = .string(structure.structure.rawValue)
            json["kept"] = .array(structure.kept.map { .integer(Int64($0)) })
            json["weightsBefore"] = .integer(Int64(structure.weightsBefore))
        }
        if layers, let compression { json["layers"] = compression.json["layers"] }
        return json
    }
}
