import Testing
import WinnowData
import WinnowTestKit

/// Files larger than the buffers: what is held at once does not grow with the file.
@Suite struct BoundedReaderTests {
    /// A line and how often it stands in a file of 12 MiB.
    private func withLargeFile(_ name: String, line: String, _ body: (String, Int) throws -> Void) throws {
        try TemporaryFolder.with { folder in
            let count = 12 << 20 / line.utf8.count, one = Array(line.utf8)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count * one.count)
            for _ in 0..<count { bytes += one }
            try TemporaryFolder.write(bytes, to: "\(folder)/\(name)")
            try body("\(folder)/\(name)", count)
        }
    }

    @Test(arguments: ["some words that go on ", "日本語の文章。"]) func piecesOfALargeText(_ words: String) throws {
        let line = String(repeating: words, count: 400) + "end\n"
        try withLargeFile("large.txt", line: line) { path, count in
            var pieces = try PieceReader(path, cuts: true), bytes = 0
            while let piece = try pieces.next() {
                bytes += piece.count
                #expect(piece.count <= 2 << 20 && piece.last == 0x0A)
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
            #expect(throws: DataError.documentTooLarge(file: path, limit: 64 << 20)) {
                var whole = try PieceReader(path, cuts: false)
                _ = try whole.next()
            }
        }
    }

    /// A text without a place to cut comes in pieces all the same, of whole characters.
    @Test func anEndlessWordIsCutBetweenCharacters() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/endless.txt", text = Array(String(repeating: "日本語", count: 1000).utf8)
            var bytes: [UInt8] = []
            for _ in 0..<1000 { bytes += text }
            try TemporaryFolder.write(bytes, to: path)
            var pieces = try PieceReader(path, cuts: true), counts: [Int] = []
            while let piece = try pieces.next() { counts.append(piece.count) }
            #expect(counts.reduce(0, +) == 9_000_000 && counts.count == 3)
            #expect(counts.allSatisfy { $0 % 3 == 0 && $0 <= 5 << 20 })
        }
    }
}
