import WinnowCore
import WinnowText

/// The texts of files of training data, one after the other, in bounded memory: what a tokenizer is learned
/// from.
public enum TrainingTexts {
    /// Calls `body` with each text: a piece of a plain file, or a text, prompt, completion or message of a
    /// line.
    ///
    /// - Parameter progress: bytes read of a file, and its size.
    /// - Throws: ``DataError``, `FileError`, or what `body` throws.
    public static func forEach(
        in path: String, progress: (Int, Int) throws -> Void = { _, _ in }, _ body: (String) throws -> Void
    ) throws {
        var isEmpty = true
        func give(_ text: String) throws {
            guard !text.isEmpty else { return }
            isEmpty = false
            try body(text)
        }
        if path.hasSuffix(".jsonl") {
            var lines = try LineReader(path)
            while let line = try lines.next() {
                guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
                switch try TrainingRecord(line, file: path, number: lines.line) {
                case .text(let text): try give(text)
                case .completion(let prompt, let completion): try give(prompt + completion)
                case .messages(let messages): for message in messages { try give(message.content) }
                }
                try progress(lines.reader.offset, lines.reader.byteCount)
            }
        } else {
            var pieces = try PieceReader(path, cuts: true)
            while let piece = try pieces.next() {
                try give(String(decoding: piece, as: UTF8.self))
                try progress(pieces.reader.offset, pieces.reader.byteCount)
            }
        }
        if isEmpty { throw DataError.empty(file: path) }
    }
}
