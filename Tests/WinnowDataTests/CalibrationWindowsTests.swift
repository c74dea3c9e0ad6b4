import Testing
import WinnowData
import WinnowIO
import WinnowText

@Suite struct CalibrationWindowsTests {
    private let tokenizer: Tokenizer

    init() throws {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        let folder = parts.joined(separator: "/") + "/Fixtures/tiny-llama/tied"
        tokenizer = try Tokenizer(try Checkpoint.open(folder).tokenizer)
    }

    private let text = TextSource(
        name: "letters", bytes: Array((0..<400).map { "word\($0) " }.joined().utf8))

    @Test func windowsAreDisjointPiecesOfTheText() throws {
        let stream = tokenizer.encode(bytes: text.joined, special: .asText)
        let drawn = try CalibrationWindows(text, tokenizer: tokenizer, samples: 1000, length: 16, seed: 1)
        #expect(drawn.windows.count == stream.count / 16)
        #expect(drawn.requested == 1000)
        #expect(drawn.tokens == stream.count)
        let pieces = (0..<stream.count / 16).map { Array(stream[$0 * 16..<($0 + 1) * 16]) }
        #expect(drawn.windows.map { "\($0)" }.sorted() == pieces.map { "\($0)" }.sorted())
        #expect(drawn.windows != pieces)
    }

    @Test func theSeedSaysWhichWindows() throws {
        func windows(_ seed: UInt64) throws -> [[TokenID]] {
            try CalibrationWindows(text, tokenizer: tokenizer, samples: 5, length: 16, seed: seed).windows
        }
        #expect(try windows(1) == windows(1))
        #expect(try windows(1) != windows(2))
        #expect(try windows(1).count == 5)
    }

    @Test func aShortTextIsRefused() throws {
        #expect(throws: TextSourceError.self) {
            try CalibrationWindows(
                TextSource(name: "short", bytes: Array("a".utf8)), tokenizer: tokenizer, samples: 1, length: 512)
        }
    }
}
