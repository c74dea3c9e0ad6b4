import WinnowCore
import WinnowText

/// Token windows that statistics are gathered over, drawn from a text.
///
/// Documents are tokenized one by one and packed in order, an end-of-text token between them; the stream is cut
/// into disjoint windows, of which `samples` are drawn without putting back.
///
/// - Source: Wanda, arXiv 2306.11695, calibration. Departure: its code draws windows inside documents that are
///   longer than one, and throws shorter ones away; packing keeps small calibration sets whole.
public struct CalibrationWindows: Sendable {
    /// Each `length` ids long.
    public let windows: [[TokenID]]
    public let length: Int
    /// What was asked for; ``windows`` has fewer where the text is shorter.
    public let requested: Int
    /// Tokens of the whole text.
    public let tokens: Int
    public let source: String
    public let sha256: String

    /// - Parameter samples: windows wanted.
    /// - Parameter length: tokens of each.
    /// - Throws: ``TextSourceError/tooShort(file:tokens:window:)`` when the text has not even one.
    public init(
        _ text: TextSource, tokenizer: Tokenizer, samples: Int = 128, length: Int = 512, seed: UInt64 = 0
    ) throws(TextSourceError) {
        precondition(samples > 0 && length > 0, "\(samples) windows of \(length)")
        var stream: [TokenID] = []
        let separator = tokenizer.id(of: "<|endoftext|>") ?? tokenizer.definition.eosID
        for document in text.documents {
            if !stream.isEmpty, let separator { stream.append(separator) }
            // What looks like a control token in a text is text.
            stream += tokenizer.encode(bytes: document, special: .asText)
        }
        let bos = tokenizer.addsBOS ? tokenizer.bosID : nil
        let body = bos == nil ? length : length - 1
        var starts = Array(stride(from: 0, through: stream.count - max(body, 1), by: max(body, 1)))
        guard !starts.isEmpty else { throw .tooShort(file: text.name, tokens: stream.count, window: length) }
        var random = Random(seed: seed)
        starts.shuffle(using: &random)
        windows = starts.prefix(samples).map { start in
            (bos.map { [$0] } ?? []) + stream[start..<start + body]
        }
        self.length = length
        requested = samples
        tokens = stream.count
        source = text.name
        sha256 = text.sha256
    }
}
