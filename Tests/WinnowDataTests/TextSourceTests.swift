import Testing
import WinnowCore
import WinnowData
import WinnowTestKit

@Suite struct TextSourceTests {
    private func source(_ text: String, ending: String) throws -> TextSource {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/text\(ending)"
            try TemporaryFolder.write(Array(text.utf8), to: path)
            return try TextSource(reading: path)
        }
    }

    @Test func aTextFileIsOneDocument() throws {
        let source = try source("one\n\ntwo\n", ending: ".txt")
        #expect(source.documents == [Array("one\n\ntwo\n".utf8)])
        // printf 'one\n\ntwo\n' | sha256sum
        #expect(source.sha256 == "ca48018cd69ec26f9206d26f99b5019ba6075d5482c587a072361987ae3179dd")
    }

    @Test func linesOfJSONAreDocuments() throws {
        let source = try source("{\"text\": \"one\\n\"}\n\n{\"id\": 3, \"text\": \"zwei \\u00e9\"}\r\n", ending: ".jsonl")
        #expect(source.documents == [Array("one\n".utf8), Array("zwei é".utf8)])
        #expect(source.joined == Array("one\n\n\nzwei é".utf8))
    }

    @Test func badLinesAreNamed() throws {
        let missing = #expect(throws: TextSourceError.self) {
            try source("{\"text\": \"a\"}\n{\"prompt\": \"b\"}\n", ending: ".jsonl")
        }
        guard case .badLine(_, 2, let reason) = missing else {
            Issue.record("\(String(describing: missing))")
            return
        }
        #expect(reason == "no text under \"text\"; expected {\"text\": \"…\"}")
        let broken = #expect(throws: TextSourceError.self) { try source("{\"text\": \n", ending: ".jsonl") }
        guard case .badLine(_, 1, _) = broken else {
            Issue.record("\(String(describing: broken))")
            return
        }
    }

    @Test func noTextIsAnError() throws {
        for (text, ending) in [("", ".txt"), ("\n\n", ".jsonl"), ("{\"text\": \"\"}\n", ".jsonl")] {
            let error = #expect(throws: TextSourceError.self) { try source(text, ending: ending) }
            guard case .empty = error else {
                Issue.record("\(String(describing: error)) for \(text)")
                continue
            }
        }
        #expect(throws: FileError("/no/such/text", operation: "open", code: 2)) {
            try TextSource(reading: "/no/such/text")
        }
    }

    /// FIPS 180-4's examples, and pieces against the whole at every length around a block.
    @Test func sha256() {
        func digest(_ text: String) -> String { Array(text.utf8).withUnsafeBytes { SHA256.hexadecimal(of: $0) } }
        #expect(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        for count in 50...140 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            var pieces = SHA256()
            for start in stride(from: 0, to: count, by: 11) {
                bytes[start..<min(count, start + 11)].withUnsafeBytes { pieces.add($0) }
            }
            #expect(pieces.hexadecimal() == bytes.withUnsafeBytes { SHA256.hexadecimal(of: $0) })
        }
    }
}
