import Testing
import WinnowData
import WinnowTestKit

/// Files larger than the buffers: what is held at once does not grow with the file.
@Suite struct BoundedReaderTests {
    /// A line and how often it stands in a file of 24 MiB.
    private func withLargeFile(_ name: String, line: String, _ body: (String, Int) throws -> Void) throws {
        try TemporaryFolder.with { folder in
            let count = 24 << 20 / line.utf8.count
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count * line.utf8.count)
            for _ in 0..<count { bytes += line.utf8 }
            try TemporaryFolder.write(bytes, to: "\(folder)/\(name)")
            try body("\(folder)/\(name)", count)
        }
    }

    @Test func piecesOfALargeText() throws {
        let line = String(repeating: "some words that go on ", count: 400) + "\n"
        try withLargeFile("large.txt", line: line) { path, count in
            var pieces = try PieceReader(path, cuts: true), bytes = 0
            while let piece = try pieces.next() {
                bytes += piece.count
                #expect(piece.count <= 2 << 20)
            }
            #expect(bytes == count * line.utf8.count)
            #expect(pieces.reader.largestBuffer <= 2 << 20)
        }
    }

    @Test func linesOfALargeFile() throws {
        let line = "{\"text\": \"" + String(repeating: "abcdefgh", count: 5000) + "\"}\n"
        try withLargeFile("large.jsonl", line: line) { path, count in
            var lines = try LineReader(path), seen = 0
            while let text = try lines.next() {
                seen += 1
                if text.count != line.utf8.count - 1 { Issue.record("line \(seen) has \(text.count) bytes") }
            }
            #expect(seen == count && lines.line == count)
            #expect(lines.reader.largestBuffer <= 1 << 20 + 50_000)
        }
    }

    @Test func aLineWithoutEndIsRefused() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/endless.jsonl"
            try TemporaryFolder.write([UInt8](repeating: 0x61, count: 66 << 20), to: path)
            #expect(throws: DataError.lineTooLong(file: path, line: 1, limit: 64 << 20)) {
                var lines = try LineReader(path)
                _ = try lines.next()
            }
            // A text without a place to cut: pieces all the same, of whole characters.
            var pieces = try PieceReader(path, cuts: true), bytes = 0
            while let piece = try pieces.next() { bytes += piece.count }
            #expect(bytes == 66 << 20 && pieces.reader.largestBuffer <= 65 << 20)
            #expect(throws: DataError.documentTooLarge(file: path, limit: 64 << 20)) {
                var whole = try PieceReader(path, cuts: false)
                _ = try whole.next()
            }
        }
    }
}
