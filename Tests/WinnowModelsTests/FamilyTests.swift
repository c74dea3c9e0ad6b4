import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowTestKit
import WinnowText

/// A tiny random model of a family with what transformers makes of it (`Tools/make_families.py`).
struct FamilyFixture {
    static let names = [
        "llama3", "mistral", "mixtral", "qwen2", "qwen2-window", "qwen2-moe", "qwen2-moe-mixed", "qwen3",
        "qwen3-moe",
        "gemma", "gemma2", "gemma3", "gemma3-odd", "phi3", "phi3-long", "phi3-partial", "gpt2", "opt",
        "llama-dynamic",
        "gpt-neox", "starcoder2", "olmo2", "granite", "stablelm", "stablelm-parallel", "layered",
    ]

    static var folder: String {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/families"
    }

    static func json(_ path: String) throws -> JSONValue {
        let file = try Storage.mapping("\(folder)/\(path)")
        return try JSONValue(parsing: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount)))
    }

    let checkpoint: Checkpoint
    let prompt: [TokenID]
    let rows: [Int]
    let logits: [[Double]]
    let greedy: [TokenID]

    init(_ name: String) throws {
        checkpoint = try Checkpoint.open("\(FamilyFixture.folder)/\(name)")
        let expected = try FamilyFixture.json("\(name)/expected.json")
        func list(_ key: String) -> [Int] { expected[key]?.array?.compactMap(\.integer) ?? [] }
        prompt = list("prompt").map { TokenID($0) }
        rows = list("rows")
        greedy = list("greedy").map { TokenID($0) }
        logits = expected["logits"]?.array?.map { $0.array?.compactMap(\.number) ?? [] } ?? []
    }

    /// The room that both kinds of `longrope` fixture agree on with their reference.
    func sequence(_ runner: ModelRunner) -> KVSequence { runner.makeSequence(capacity: 136) }

    func expectLogits(of model: LanguageModel, _ comment: String) throws {
        #expect(rows.count > 10 && logits.count == rows.count)
        var whole: [[Float]] = []
        for chunk in [128, 7, 1] {
            let runner = try makeRunner(model, threads: chunk == 7 ? 2 : 1, chunk: chunk)
            let all = try allLogits(runner, prompt, sequence(runner))
            let difference = largestDifference(rows.map { all[$0] }, logits)
            #expect(difference < 2e-4, "\(comment) in chunks of \(chunk)")
            if chunk == 128 {
                whole = all
                print("\(comment): largest difference of a logit \(Float(difference))")
            }
            #expect(all == whole, "\(comment) in chunks of \(chunk)")
        }
    }
}

@Suite struct FamilyTests {
    @Test(arguments: FamilyFixture.names) func logitsMatchTransformers(_ name: String) throws {
        let fixture = try FamilyFixture(name)
        try fixture.expectLogits(of: try LanguageModel(fixture.checkpoint), name)
    }

    @Test(arguments: FamilyFixture.names) func greedyIdsMatchTransformers(_ name: String) throws {
        let fixture = try FamilyFixture(name)
        let runner = try makeRunner(try LanguageModel(fixture.checkpoint), chunk: 16)
        let sequence = fixture.sequence(runner)
        var last = try #require(try allLogits(runner, fixture.prompt, sequence).last)
        var ids: [TokenID] = []
        for _ in fixture.greedy {
            let best = last.indices.max { last[$0] < last[$1] }!
            ids.append(TokenID(best))
            last = try allLogits(runner, [TokenID(best)], sequence)[0]
        }
        #expect(ids == fixture.greedy)
    }

    @Test(arguments: FamilyFixture.names) func everyTensorIsVisitedOnce(_ name: String) throws {
        let fixture = try FamilyFixture(name)
        var visited: [String] = []
        try LanguageModel(fixture.checkpoint).visit { visited.append($0.name) }
        #expect(visited.sorted() == fixture.checkpoint.names.sorted())
        #expect(Set(visited).count == visited.count)
    }

    private static let onlyFolders = [
        "opt", "qwen2-window", "qwen2-moe-mixed", "gemma3-odd", "gpt-neox", "granite", "stablelm", "stablelm-parallel",
    ]

    /// A GGUF file holds the same model, and so does the folder written from it.
    @Test(arguments: FamilyFixture.names.filter { !onlyFolders.contains($0) })
    func writtenFilesHoldTheSameModel(_ name: String) throws {
        let fixture = try FamilyFixture(name)
        let pool = try KernelPool(threads: 1)
        try TemporaryFolder.with { folder in
            try ModelConversion(to: .gguf).write(
                fixture.checkpoint, to: "\(folder)/a.gguf", overwrite: false, on: pool)
            let file = try Checkpoint.open("\(folder)/a.gguf")
            try fixture.expectLogits(of: try LanguageModel(file), "\(name) as a GGUF file")
            try ModelConversion(to: .hf).write(file, to: "\(folder)/b", overwrite: false, on: pool)
            let again = try Checkpoint.open("\(folder)/b")
            try fixture.expectLogits(of: try LanguageModel(again), "\(name) as a folder again")
            try ModelConversion(to: .packed).write(
                fixture.checkpoint, to: "\(folder)/c", overwrite: false, on: pool)
            let packed = try Checkpoint.open("\(folder)/c")
            try fixture.expectLogits(of: try LanguageModel(packed), "\(name) as a packed folder")
        }
    }

    @Test(arguments: onlyFolders) func whatGGUFCannotSayIsRefused(_ name: String) throws {
        let fixture = try FamilyFixture(name)
        let pool = try KernelPool(threads: 1)
        try TemporaryFolder.with { folder in
            #expect(throws: CheckpointError.self) {
                try ModelConversion(to: .gguf).write(
                    fixture.checkpoint, to: "\(folder)/a.gguf", overwrite: false, on: pool)
            }
        }
    }
}
