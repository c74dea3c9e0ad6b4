import WinnowData
import WinnowIO
import WinnowModels
import WinnowText

/// What a run learns from and what it is measured on: texts, tokenized once into a cache on disk.
public struct TrainingCorpus: Sendable {
    /// Text, or `.jsonl` with a record a line.
    public var text: String
    /// nil: ``validationShare`` of ``text`` is measured, not learned.
    public var validation: String?
    public var validationShare = 0.05
    /// The most batches that are measured.
    public var validationBatches = 20
    /// What becomes of conversations longer than a window.
    public var overflow = WindowPlan.Overflow.fail

    public init(text: String, validation: String? = nil) {
        self.text = text
        self.validation = validation
    }

    public struct Batches {
        public let training: StreamedBatches
        public let validation: [DecoderBatch]
        /// Tokens of the text that is learned.
        public let tokens: Int
    }

    /// - Parameter folder: where `tokens`, the cache, is kept.
    /// - Parameter progress: called with bytes tokenized and their number.
    /// - Throws: `DataError`, `TextSourceError`, `FileError`.
    public func batches(
        _ configuration: TrainingConfiguration, tokenizer: Tokenizer, template: ChatTemplate?,
        in folder: String,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> Batches {
        try FilePath.makeFolder(folder)
        try FilePath.makeFolder("\(folder)/tokens")
        func dataset(_ path: String) throws -> TokenDataset {
            try TokenDataset([
                try TokenCache(
                    path, tokenizer: tokenizer, template: template, in: "\(folder)/tokens", progress: progress
                ).store
            ])
        }
        func stream(_ dataset: TokenDataset) throws -> BatchStream {
            let plan = try WindowPlan(dataset, length: configuration.length, overflow: overflow)
            return BatchStream(dataset, plan: plan, batch: configuration.batch, seed: configuration.seed)
        }
        let whole = try dataset(text)
        var (learned, measured): (TokenDataset, TokenDataset?)
        if let validation {
            (learned, measured) = (whole, try dataset(validation))
        } else {
            (learned, measured) = try whole.split(validation: validationShare, seed: configuration.seed)
        }
        let fingerprint = try TextSource(reading: text).sha256
        return Batches(
            training: StreamedBatches(try stream(learned), fingerprint: fingerprint),
            validation: try measured.map {
                StreamedBatches(try stream($0), fingerprint: "").inOrder(most: validationBatches)
            } ?? [], tokens: whole.tokenCount)
    }
}
