import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Vocabulary-only GGUF files with texts (`.inp`) and their ids (`.out`), a path a line in `WINNOW_VOCABULARIES`:
/// see Tools/compare-vocabularies. They are large and stay out of the clone.
@Suite struct VocabularyTests {
    static let paths = getenv("WINNOW_VOCABULARIES").map { String(cString: $0).split(separator: "\n") } ?? []

    @Test(.enabled(if: !paths.isEmpty)) func idsAsExpected() throws {
        for path in VocabularyTests.paths.map(String.init) {
            let label = String(path.split(separator: "/").last ?? "")
            do {
                let tokenizer = try Tokenizer(
                    GGUFFile(parsing: Storage.mapping(path), path: path).tokenizer())
                guard access(path + ".inp", R_OK) == 0 else {
                    print("vocabulary: \(label): opens, no texts to compare")
                    continue
                }
                let texts = try text(path + ".inp").components("\n__ggml_vocab_test__\n")
                let lines = try text(path + ".out").components("\n")
                var different = 0
                for (text, line) in zip(texts, lines) {
                    let expected = line.split(separator: " ").map { TokenID($0) ?? -1 }
                    if tokenizer.encode(text, special: .asText) != expected { different += 1 }
                }
                print("vocabulary: \(label): \(min(texts.count, lines.count)) texts, \(different) different")
                #expect(different == 0, "\(label)")
            } catch { print("vocabulary: \(label): \(error)") }
        }
    }

    private func text(_ path: String) throws -> String {
        let storage = try Storage.mapping(path)
        return withExtendedLifetime(storage) {
            String(
                decoding: UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount), as: UTF8.self
            )
        }
    }
}

extension String {
    /// The parts between separators; bytes, because a line end may be half of a character to `split`.
    fileprivate func components(_ separator: String) -> [String] {
        let bytes = Array(utf8)
        let separator = Array(separator.utf8)
        var parts: [String] = []
        var start = 0
        var index = 0
        while index < bytes.count {
            if bytes[index...].starts(with: separator) {
                parts.append(String(decoding: bytes[start..<index], as: UTF8.self))
                index += separator.count
                start = index
            } else {
                index += 1
            }
        }
        return parts
    }
}
