import Testing
import WinnowData
import WinnowTestKit

@Suite struct TrainingTextsTests {
    private func texts(_ content: String, _ name: String) throws -> [String] {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array(content.utf8), to: "\(folder)/\(name)")
            var found: [String] = [], last = 0
            try TrainingTexts.forEach(in: "\(folder)/\(name)") { done, all in
                #expect(done > last && done <= all && all == content.utf8.count)
                last = done
            } _: { found.append($0) }
            return found
        }
    }

    @Test func everyTextOfEveryRecord() throws {
        let lines = """
            {"text": "one"}
            {"prompt": "two ", "completion": "three"}
            {"messages": [{"role": "user", "content": "four"}, {"role": "assistant", "content": "five"}]}

            """
        #expect(try texts(lines, "a.jsonl") == ["one", "two three", "four", "five"])
        #expect(try texts("one\ntwo\n", "a.txt") == ["one\ntwo\n"])
    }

    @Test func whatStopsIsPassedOn() throws {
        struct Stop: Error {}
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(Array("{\"text\": \"a\"}\n{\"text\": \"b\"}\n".utf8), to: "\(folder)/a.jsonl")
            #expect(throws: Stop.self) { try TrainingTexts.forEach(in: "\(folder)/a.jsonl") { _ in throw Stop() } }
            try TemporaryFolder.write(Array("{\"text\": \"\"}\n".utf8), to: "\(folder)/b.jsonl")
            #expect(throws: DataError.empty(file: "\(folder)/b.jsonl")) {
                try TrainingTexts.forEach(in: "\(folder)/b.jsonl") { _ in }
            }
        }
    }
}
