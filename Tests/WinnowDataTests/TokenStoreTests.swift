import Testing
import WinnowCore
import WinnowData
import WinnowTestKit
import WinnowText

@Suite struct TokenStoreTests {
    private let tokenizer: Tokenizer
    private let template: ChatTemplate

    init() throws {
        tokenizer = try TinyTokenizer.tokenizer()
        template = try TinyTokenizer.template()
    }

    private func store(_ text: String, _ name: String = "data.jsonl", _ template: ChatTemplate? = nil) throws
        -> TokenStore
    {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array(text.utf8), to: "\(folder)/\(name)")
            return try TokenStore.reading("\(folder)/\(name)", tokenizer: tokenizer, template: template)
        }
    }

    /// The text of what is learned in a document, and of what is not, in order.
    private func runs(_ store: TokenStore, _ document: Int) -> [(learned: Bool, text: String)] {
        var result: [(Bool, [TokenID])] = []
        for token in store.range(document) {
            if result.last?.0 != store.isLearned(token) { result.append((store.isLearned(token), [])) }
            result[result.count - 1].1.append(store.id(token))
        }
        return result.map { ($0.0, tokenizer.decode($0.1)) }
    }

    @Test func aTextIsOneDocumentThatEnds() throws {
        let text = "One <|im_end|> two.\n"
        let store = try store(text, "text.txt")
        #expect(store.documentCount == 1 && store.mayBeCut(0))
        // Control tokens in a text are text; the document ends with the tokenizer's own.
        let end = try #require(tokenizer.id(of: "<|endoftext|>"))
        #expect(store.ids(store.range(0)) == tokenizer.encode(text, special: .asText) + [end])
        #expect((0..<store.tokenCount).allSatisfy(store.isLearned))
    }

    @Test func recordsOfAllKinds() throws {
        let store = try store(
            """
            {"text": "plain", "id": 7}

            {"prompt": "2 + 2 = ", "completion": "4"}
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "See you"}]}
            """, "data.jsonl", template)
        #expect(store.documentCount == 3)
        #expect((0..<3).map(store.line) == [1, 3, 4])
        #expect((0..<3).map(store.mayBeCut) == [true, false, false])
        let plain = runs(store, 0)
        #expect(plain.count == 1 && plain[0].learned && plain[0].text == "plain<|endoftext|>")
        let answer = runs(store, 1)
        #expect(answer.map(\.learned) == [false, true])
        #expect(answer.map(\.text) == ["2 + 2 = ", "4<|endoftext|>"])
        let chat = runs(store, 2)
        #expect(chat.map(\.learned) == [false, true, false, true])
        #expect(
            chat.map(\.text) == [
                "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "Hello!<|im_end|>\n",
                "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n", "See you<|im_end|>\n",
            ])
        // The ids are those of the whole conversation.
        let whole = try template.render(
            messages: [
                .init(role: "user", content: "Hi"), .init(role: "assistant", content: "Hello!"),
                .init(role: "user", content: "Bye"), .init(role: "assistant", content: "See you"),
            ], addGenerationPrompt: false)
        #expect(store.ids(store.range(2)) == tokenizer.encode(whole))
    }

    @Test func windowsLineEndsAndMarksAreNoText() throws {
        let store = try store("\u{FEFF}{\"text\": \"one\"}\r\n{\"text\": \"two\"}\r\n")
        #expect((0..<2).map { runs(store, $0)[0].text } == ["one<|endoftext|>", "two<|endoftext|>"])
    }

    private static let badLines: [(line: String, reason: String)] = [
        ("{\"text\": 3}", "\"text\" is not a string"),
        (
            "[1]",
            "not an object; expected {\"text\": \"…\"}, {\"prompt\": \"…\", \"completion\": \"…\"} or {\"messages\": [{\"role\": \"…\", \"content\": \"…\"}]}"
        ),
        (
            "{\"input\": \"a\", \"output\": \"b\"}",
            "keys \"input\", \"output\"; expected {\"text\": \"…\"}, {\"prompt\": \"…\", \"completion\": \"…\"} or {\"messages\": [{\"role\": \"…\", \"content\": \"…\"}]}"
        ),
        ("{\"prompt\": \"a\"}", "\"completion\" is missing or no string"),
        ("{\"prompt\": \"a\", \"completion\": \"\"}", "\"completion\" is empty: there is nothing to learn"),
        ("{\"messages\": []}", "\"messages\" is not a list of messages"),
        ("{\"messages\": [{\"role\": \"user\"}]}", "message 1 lacks \"role\" or \"content\" as strings"),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
            "no message of the role \"assistant\": there is nothing to learn"
        ),
        (
            "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}",
            "messages need a model with a chat template; use \"prompt\" and \"completion\""
        ),
    ]

    @Test(arguments: badLines.indices) func badLinesAreNamed(_ index: Int) {
        let error = #expect(throws: DataError.self) {
            try store("{\"text\": \"ok\"}\n\n\(Self.badLines[index].line)\n")
        }
        guard case .badLine(_, 3, let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason == Self.badLines[index].reason)
    }

    @Test func aTemplateThatRewritesEarlierTurnsIsRefused() throws {
        let last = try ChatTemplate(
            source:
                "{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
        )
        let error = #expect(throws: DataError.self) {
            try store(
                """
                {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}
                """, "data.jsonl", last)
        }
        guard case .badLine(_, 1, let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.hasPrefix("the chat template writes earlier turns differently"))
    }

    @Test func whatIsNoTextIsNamed() throws {
        for (text, name) in [("", "a.txt"), ("\n \n", "a.jsonl"), ("{\"text\": \"\"}\n", "a.jsonl")] {
            let error = #expect(throws: DataError.self) { try store(text, name) }
            guard case .empty = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        try TemporaryFolder.with { folder in
            let path = "\(folder)/latin.txt"
            try TemporaryFolder.write(Array("caf".utf8) + [0xE9] + Array(" noir".utf8), to: path)
            #expect(throws: DataError.notUTF8(file: path, offset: 3)) {
                try TokenStore.reading(path, tokenizer: tokenizer)
            }
            let lines = "\(folder)/latin.jsonl"
            try TemporaryFolder.write(
                Array("{\"text\": \"a\"}\n{\"text\": \"caf".utf8) + [0xE9] + Array("\"}\n".utf8), to: lines)
            let error = #expect(throws: DataError.self) {
                try TokenStore.reading(lines, tokenizer: tokenizer)
            }
            guard case .badLine(_, 2, let reason) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(reason.hasPrefix("text that is not UTF-8"))
            #expect(throws: FileError("\(folder)/none", operation: "open", code: 2)) {
                try TokenStore.reading("\(folder)/none", tokenizer: tokenizer)
            }
        }
    }

    /// A text of several pieces gives the ids of the whole; the buffer holds two pieces at most.
    @Test(arguments: ["lines", "words", "ideographs", "nothing"]) func longTextsAreReadInPieces(
        _ kind: String
    ) throws {
        var random = Random(seed: 5), text = ""
        let words = ["one", "two ", "Three", "déjà", "4", ". ", "\n\n", "日本", "  ", "don't", "\n"]
        while text.utf8.count < (kind == "nothing" ? 300_000 : 1_300_000) {
            switch kind {
            case "lines":
                text +=
                    words[Int(random.next() % UInt64(words.count))] + (random.next() % 8 == 0 ? "\n" : " ")
            case "words": text += "ab cd "
            case "ideographs":
                text += ["日本語。\n", "「文」\n", "\u{3000}次\n\u{3000}", "a\r\n", "é\n"][Int(random.next() % 5)]
            default: text += "日本"
            }
        }
        let store = try store(text, "long.txt")
        let whole = tokenizer.encode(text, special: .asText)
        #expect(store.tokenCount == whole.count + 1)
        #expect(store.ids(0..<whole.count) == whole)
    }
}
