import Testing
import WinnowJSON
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct BytePairTrainerTests {
    private func texts(_ json: JSONValue) throws -> [String] {
        if let texts = json["texts"]?.array { return texts.compactMap(\.string) }
        return try #require(json["files"]?.array).map { name in
            let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
            let path = "/\(folder)/Sources/CWinnowTexts/texts/\(try #require(name.string))"
            let stream = try #require(fopen(path, "rb"))
            defer { fclose(stream) }
            var result: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = fread(&buffer, 1, buffer.count, stream)
                if count == 0 { return String(decoding: result, as: UTF8.self) }
                result.append(contentsOf: buffer[..<count])
            }
        }
    }

    /// Tokens, ids and merges of `tokenizers` (Tools/make-tokenizer-training-fixtures.py).
    @Test(arguments: 0..<6) func learnsWhatTokenizersLearns(_ index: Int) throws {
        let json = try #require(Fixture.json("trained-tokenizers.json").array)[index]
        var configuration = BytePairTrainer.Configuration()
        configuration.vocabularySize = try #require(json["size"]?.integer)
        configuration.minimumFrequency = try #require(json["frequency"]?.integer)
        configuration.hasAllBytes = try #require(json["alphabet"]?.bool as Bool?)
        configuration.specialTokens = try #require(json["special"]?.array).compactMap(\.string)
        configuration.preTokenizer = try PreTokenizer(ggufName: try #require(json["cut"]?.string))
        var trainer = try BytePairTrainer(configuration)
        for text in try texts(json) { trainer.add(text) }
        let definition = try trainer.train()
        #expect(definition.tokens == json["tokens"]?.array?.compactMap(\.string))
        #expect(definition.mergeTexts == json["merges"]?.array?.compactMap(\.string))
    }

    /// What is written is read back as the same tokenizer, and every text comes back from its ids.
    @Test func isWrittenAndReadBack() throws {
        var configuration = BytePairTrainer.Configuration()
        configuration.vocabularySize = 400
        configuration.preTokenizer = try PreTokenizer(ggufName: "qwen2")
        var trainer = try BytePairTrainer(configuration)
        let text = String(repeating: "The sparse model, the dense model; they're 12 of 1234.\n\n", count: 9)
        trainer.add(text)
        #expect(trainer.byteCount == text.utf8.count)
        let definition = try trainer.train()
        let written = try JSONValue(parsing: definition.tokenizerJSON().text())
        let back = try TokenizerDefinition(
            tokenizerJSON: written,
            configuration: JSONValue(parsing: definition.tokenizerConfiguration().text()))
        #expect(back.tokens == definition.tokens && back.merges == definition.merges)
        #expect(back.preTokenizer == definition.preTokenizer && back.kinds == definition.kinds)
        let one = try Tokenizer(definition), two = try Tokenizer(back)
        for text in [text, "héllo 日本 \u{1F600}\n\t\0", "<|endoftext|>", ""] {
            #expect(one.encode(text) == two.encode(text))
            #expect(one.decode(one.encode(text)) == text)
        }
        #expect(one.encode("<|endoftext|>") == [0] && one.isEnd(0))
        #expect(one.encode(text).count < text.utf8.count / 2)
    }

    /// Texts that are given one by one count as they do together.
    @Test func textsAddUp() throws {
        func train(_ texts: [String]) throws -> [String] {
            var trainer = try BytePairTrainer()
            for text in texts { trainer.add(text) }
            return try trainer.train().mergeTexts
        }
        let lines = ["one two three\n", "two three four\n", "three four five\n"]
        #expect(try train(lines) == train([lines.joined()]))
    }

    @Test func wrongSettingsAreNamed() throws {
        func make(_ change: (inout BytePairTrainer.Configuration) -> Void) throws -> BytePairTrainer {
            var configuration = BytePairTrainer.Configuration()
            change(&configuration)
            return try BytePairTrainer(configuration)
        }
        #expect(throws: TokenizerTrainingError.vocabularyTooSmall(256, least: 257)) {
            try make { $0.vocabularySize = 256 }
        }
        #expect(throws: TokenizerTrainingError.negativeFrequency(-1)) { try make { $0.minimumFrequency = -1 } }
        #expect(throws: TokenizerTrainingError.emptySpecialToken) { try make { $0.specialTokens = [""] } }
        #expect(throws: TokenizerTrainingError.repeatedSpecialToken("a")) {
            try make { $0.specialTokens = ["a", "b", "a"] }
        }
        #expect(throws: TokenizerTrainingError.noText) { try make { _ in }.train() }
        // Every pre-tokenizer can be learned with, or says that it cannot be written.
        for preTokenizer in PreTokenizer.all {
            do {
                var trainer = try make { $0.preTokenizer = preTokenizer }
                trainer.add("some text, 123 of it")
                _ = try trainer.train()
            } catch let error as TokenizerTrainingError {
                #expect(error == .preTokenizerCannotBeWritten(preTokenizer.name ?? ""))
            }
        }
    }

    @Test func stopsWhenAsked() throws {
        var trainer = try BytePairTrainer()
        trainer.add(String(repeating: "some words that are merged ", count: 4))
        var seen: [Int] = []
        #expect(throws: TokenizerTrainingError.cancelled) {
            try trainer.train { done, _ in
                seen.append(done)
                return false
            }
        }
        #expect(seen == [257])
    }
}
