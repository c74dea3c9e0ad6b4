import WinnowCore
import WinnowJSON

/// Text to calibrate on or to score: documents in order, with a name and a checksum for reports.
public struct TextSource: Sendable {
    /// The file's path, or what an embedded text is called.
    public let name: String
    /// Each document's bytes; UTF-8 as far as the source is.
    public let documents: [[UInt8]]
    /// Of the whole file, 64 hexadecimal digits.
    public let sha256: String

    /// One document.
    public init(name: String, bytes: [UInt8]) {
        self.name = name
        documents = [bytes]
        sha256 = bytes.withUnsafeBytes { SHA256.hexadecimal(of: $0) }
    }

    /// A file: `.jsonl` holds one JSON object a line with its text under `text`; any other is one document.
    ///
    /// - Throws: ``FileError`` when it cannot be read, ``TextSourceError`` for a line that is no such object or
    ///   a file without text.
    public init(reading path: String) throws {
        let storage = try Storage.mapping(path)
        let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
        name = path
        sha256 = SHA256.hexadecimal(of: bytes)
        documents = path.hasSuffix(".jsonl") ? try TextSource.lines(bytes, path: path) : [Array(bytes)]
        guard documents.contains(where: { !$0.isEmpty }) else { throw TextSourceError.empty(file: path) }
        withExtendedLifetime(storage) {}
    }

    /// All documents as one text, a blank line between them: what perplexity is measured on.
    public var joined: [UInt8] { Array(documents.joined(separator: Array("\n\n".utf8))) }

    private static func lines(_ bytes: UnsafeRawBufferPointer, path: String) throws(TextSourceError) -> [[UInt8]] {
        var documents: [[UInt8]] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) else { continue }
            let value: JSONValue
            do { value = try JSONValue(parsing: Array(line)) } catch {
                throw .badLine(file: path, line: index + 1, reason: "\(error)")
            }
            guard let text = value["text"]?.string else {
                throw .badLine(
                    file: path, line: index + 1, reason: "no text under \"text\"; expected {\"text\": \"…\"}")
            }
            documents.append(Array(text.utf8))
        }
        return documents
    }
}

/// Why a text file gives no text.
public enum TextSourceError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty(file: String)
    case badLine(file: String, line: Int, reason: String)
    case tooShort(file: String, tokens: Int, window: Int)

    public var description: String {
        switch self {
        case .empty(let file): "\(file) holds no text"
        case .badLine(let file, let line, let reason): "\(file), line \(line): \(reason)"
        case .tooShort(let file, let tokens, let window):
            "\(file) has \(tokens) tokens, less than one window of \(window): give more text or a shorter window"
        }
    }
}
