import WinnowCore
import WinnowIO
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Vectors of whole texts, or of images, from a model's last states.
///
/// A text's vector depends on that text alone: the same bits in a batch with others.
public final class SentenceEncoder {
    /// What becomes of a text with more tokens than the model takes.
    public enum Overlength: Sendable {
        case refuse
        /// Its first tokens count; what the tokenizer puts last stays.
        case truncate
    }

    public private(set) var runner: ModelRunner
    public let tokenizer: Tokenizer
    public let pooling: SentencePooling

    /// - Parameter pooling: nil: as the model's files say, or as is natural for it.
    /// - Throws: ``KernelPoolError``; ``ModelError/needsPooling(architecture:)`` for a decoder without.
    public init(
        _ loaded: LoadedModel, pooling: SentencePooling? = nil, _ configuration: ModelRunner.Configuration
    ) throws {
        let shape = loaded.model.configuration
        guard let pooling = pooling ?? loaded.checkpoint.pooling ?? SentencePooling.natural(of: shape) else {
            throw ModelError.needsPooling(architecture: shape.architecture)
        }
        self.pooling = pooling
        tokenizer = loaded.tokenizer
        var configuration = configuration
        // Every row of an encoder sees its whole text, which therefore runs in one step.
        configuration.chunk = max(
            min(configuration.chunk, 256), shape.traits.image.map { $0.patches + 1 } ?? 1)
        runner = try ModelRunner(loaded.model, configuration)
    }

    /// The most tokens of a text.
    public var limit: Int { min(pooling.maxTokens ?? .max, runner.model.configuration.tokenLimit) }

    /// The ids of a text, with what the model's tokenizer puts around it.
    ///
    /// - Throws: ``ModelError/emptyPrompt``, ``ModelError/promptTooLong(tokens:context:)``.
    public func tokens(_ text: String, _ overlength: Overlength = .refuse) throws -> [TokenID] {
        let shape = runner.model.configuration
        guard shape.traits.image == nil else {
            throw ModelError.noSuchInput(architecture: shape.architecture, expected: "images")
        }
        var ids = tokenizer.encode(text, addBOS: tokenizer.addsBOS)
        let end = tokenizer.definition.addsEOS ? tokenizer.definition.eosID : nil
        if let end { ids.append(end) }
        guard !ids.isEmpty else { throw ModelError.emptyPrompt }
        guard ids.count > limit else { return ids }
        guard overlength == .truncate else {
            throw ModelError.promptTooLong(tokens: ids.count, context: limit)
        }
        ids.removeLast(ids.count - limit)
        if let end { ids[ids.count - 1] = end }
        return ids
    }

    /// A vector for each text, in their order.
    ///
    /// - Parameter progress: called with the texts done.
    public func embed(
        _ texts: [[TokenID]], cancellation: CancellationFlag? = nil, progress: (Int) -> Void = { _ in }
    ) throws -> [[Float]] {
        try makeRoom(longest: texts.map(\.count).max() ?? 0)
        var vectors: [[Float]] = []
        var next = 0
        while next < texts.count {
            runner.begin()
            var spans: [Range<Int>] = []
            while next < texts.count, spans.isEmpty || texts[next].count <= runner.room {
                let text = texts[next]
                guard !text.isEmpty else { throw ModelError.emptyPrompt }
                let first = spans.last?.upperBound ?? 0
                try text.withUnsafeBufferPointer {
                    try runner.append($0, to: runner.makeSequence(capacity: text.count))
                }
                spans.append(first..<first + text.count)
                next += 1
            }
            try runner.run(cancellation: cancellation)
            let states = runner.states()
            for span in spans { vectors.append(pooled(states, span)) }
            progress(next)
        }
        return vectors
    }

    /// The vector of an image, `[channels, size, size]` normalised as the model was trained.
    public func embed(image pixels: [Float], cancellation: CancellationFlag? = nil) throws -> [Float] {
        runner.begin()
        let rows = runner.model.configuration.tokenLimit
        try runner.append(image: pixels, to: runner.makeSequence(capacity: rows))
        try runner.run(cancellation: cancellation)
        return pooled(runner.states(), 0..<rows)
    }

    /// Lets a step take the longest text whole.
    private func makeRoom(longest: Int) throws {
        guard longest > runner.configuration.chunk else { return }
        var configuration = runner.configuration
        configuration.chunk = longest
        runner = try ModelRunner(runner.model, configuration)
    }

    /// What embedding texts of up to `longest` tokens holds at its peak.
    public func memoryPlan(longest: Int) throws -> MemoryPlan {
        try makeRoom(longest: longest)
        return runner.memoryPlan(tokens: runner.configuration.chunk)
    }

    private func pooled(_ states: UnsafeBufferPointer<Float>, _ rows: Range<Int>) -> [Float] {
        let width = runner.model.configuration.width
        func row(_ index: Int) -> Slice<UnsafeBufferPointer<Float>> {
            states[index * width..<(index + 1) * width]
        }
        var vector: [Float]
        switch pooling.mode {
        case .cls: vector = Array(row(rows.lowerBound))
        case .last: vector = Array(row(rows.upperBound - 1))
        case .mean:
            var sums = [Double](repeating: 0, count: width)
            for index in rows {
                for (column, value) in row(index).enumerated() { sums[column] += Double(value) }
            }
            vector = sums.map { Float($0 / Double(rows.count)) }
        case .max:
            vector = Array(row(rows.lowerBound))
            for index in rows.dropFirst() {
                for (column, value) in row(index).enumerated() { vector[column] = max(vector[column], value) }
            }
        }
        guard pooling.normalizes else { return vector }
        let length = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        // As sentence-transformers does it, a vector of zeros stays one.
        return vector.map { Float(Double($0) / max(length, 1e-12)) }
    }
}

extension SentencePooling {
    /// Of encoders whose files say nothing: the class token of images, the mean of texts; nil for decoders.
    static func natural(of shape: ModelConfiguration) -> SentencePooling? {
        guard !shape.traits.isCausal else { return nil }
        return SentencePooling(mode: shape.traits.image == nil ? .mean : .cls, normalizes: false)
    }
}
