import Testing
import WinnowCore
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

/// A tiny model with every kind of block shape: grouped queries, untied or tied head.
func tinyModel(_ format: WeightFormat, tied: Bool = false, sparsity: Double = 0.5) throws -> LanguageModel {
    try LanguageModel.synthetic(
        SyntheticShape(
            name: "tiny", layers: 2, width: 64, feedForwardWidth: 96, heads: 4, keyValueHeads: 2,
            vocabularySize: 97, tiesEmbeddings: tied),
        format: format, sparsity: sparsity, headFormat: .f32, seed: 7)
}

func makeRunner(
    _ model: LanguageModel, threads: Int = 1, chunk: Int = 16, mode: ActivationMode = .exact,
    kvType: KVType = .f32
) throws -> ModelRunner {
    var configuration = ModelRunner.Configuration(threads: threads)
    configuration.activations = mode
    configuration.kvType = kvType
    configuration.chunk = chunk
    configuration.logitRows = 4
    return try ModelRunner(model, configuration)
}

func randomTokens(_ count: Int, seed: UInt64 = 3) -> [TokenID] {
    var random = Random(seed: seed)
    return (0..<count).map { _ in TokenID(random.next() % 97) }
}

/// Logits of every token, in steps of the runner's chunk.
func allLogits(_ runner: ModelRunner, _ tokens: [TokenID], _ sequence: KVSequence? = nil) throws -> [[Float]]
{
    let sequence = sequence ?? runner.makeSequence(capacity: 256)
    var result: [[Float]] = []
    var rest = tokens[...]
    while !rest.isEmpty {
        let part = rest.prefix(runner.configuration.chunk)
        runner.begin()
        try part.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        try runner.run()
        for row in 0..<part.count { result.append(try Array(runner.logits(rows: row..<row + 1))) }
        rest = rest.dropFirst(part.count)
    }
    return result
}

func largestDifference(_ a: [[Float]], _ b: [[Double]]) -> Double {
    zip(a, b).flatMap { zip($0, $1).map { abs(Double($0) - $1) } }.max() ?? .infinity
}

@Suite struct RunnerTests {
    @Test(arguments: [
        "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "int8", "int4", "masked-int8", "masked-q4_1",
    ])
    func exactLogitsMatchFloat64(_ name: String) throws {
        let model = try tinyModel(try #require(WeightFormats.named(name)))
        let tokens = randomTokens(70)
        let expected = try ReferenceLlama(model).logits(tokens)
        let actual = try allLogits(try makeRunner(model), tokens)
        #expect(largestDifference(actual, expected) < 2e-4)
    }

    @Test func tiedHeadReadsTheEmbedding() throws {
        let model = try tinyModel(.f32, tied: true)
        #expect(model.head == nil)
        let tokens = randomTokens(9)
        let expected = try ReferenceLlama(model).logits(tokens)
        #expect(largestDifference(try allLogits(try makeRunner(model), tokens), expected) < 2e-4)
    }

    @Test(arguments: [ActivationMode.exact, .fast], KVType.allCases)
    func bitsDoNotDependOnChunksOrThreads(_ mode: ActivationMode, _ kvType: KVType) throws {
        for format in WeightFormats.all where format.canEncode {
            let model = try tinyModel(format)
            let tokens = randomTokens(37)
            let alone = try allLogits(
                try makeRunner(model, threads: 1, chunk: 1, mode: mode, kvType: kvType), tokens)
            for (threads, chunk) in [(1, 37), (2, 5), (3, 16), (4, 37)] {
                let other = try allLogits(
                    try makeRunner(model, threads: threads, chunk: chunk, mode: mode, kvType: kvType), tokens)
                #expect(alone == other, "\(format) in chunks of \(chunk) on \(threads) threads")
            }
        }
    }

    @Test(arguments: [ActivationMode.exact, .fast])
    func bitsDoNotDependOnTheBatch(_ mode: ActivationMode) throws {
        let model = try tinyModel(.q4_1)
        let prompts = [randomTokens(5, seed: 1), randomTokens(11, seed: 2), randomTokens(3, seed: 3)]
        let alone = try prompts.map { try allLogits(try makeRunner(model, chunk: 32, mode: mode), $0).last! }
        let runner = try makeRunner(model, threads: 2, chunk: 32, mode: mode)
        let sequences = prompts.map { _ in runner.makeSequence(capacity: 16) }
        runner.begin()
        var last: [Int] = []
        for (prompt, sequence) in zip(prompts, sequences) {
            try prompt.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            last.append((last.last ?? -1) + prompt.count)
        }
        try runner.run()
        for (row, expected) in zip(last, alone) {
            #expect(try Array(runner.logits(rows: row..<row + 1)) == expected)
        }
    }

    @Test func cancelledStepLeavesNoTrace() throws {
        let model = try tinyModel(.q8_0)
        let runner = try makeRunner(model)
        let sequence = runner.makeSequence(capacity: 64)
        let first = randomTokens(8)
        _ = try allLogits(runner, first, sequence)
        let cancellation = CancellationFlag()
        cancellation.cancel()
        runner.begin()
        try randomTokens(4, seed: 9).withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        #expect(throws: ModelError.cancelled) { try runner.run(cancellation: cancellation) }
        #expect(sequence.length == 8)
        let next = randomTokens(3, seed: 10)
        let expected = try allLogits(try makeRunner(model), first + next).suffix(3)
        #expect(try allLogits(runner, next, sequence) == Array(expected))
    }

    @Test func truncatedSequenceContinuesAsIfNeverLonger() throws {
        let model = try tinyModel(.q8_0)
        let runner = try makeRunner(model)
        let sequence = runner.makeSequence(capacity: 256)
        let tokens = randomTokens(150)
        _ = try allLogits(runner, tokens, sequence)
        sequence.truncate(to: 70)
        let again = try allLogits(runner, Array(tokens[70...]), sequence)
        #expect(again == Array(try allLogits(try makeRunner(model), tokens)[70...]))
    }

    @Test func replacedParameterIsBoundAgain() throws {
        let model = try tinyModel(.f32)
        let other = try tinyModel(.masked(of: .int8))
        let runner = try makeRunner(model)
        let tokens = randomTokens(6)
        _ = try allLogits(runner, tokens)
        for (block, replacement) in zip(model.blocks, other.blocks) {
            for (linear, new) in zip(block.linears, replacement.linears) {
                linear.parameter.replace(with: new.parameter.matrix)
            }
        }
        let expected = try ReferenceLlama(model).logits(tokens)
        #expect(largestDifference(try allLogits(runner, tokens), expected) < 2e-4)
    }

    @Test func blocksOverWindowsMatchTheOracle() throws {
        let model = try tinyModel(.q4_0)
        let reference = try ReferenceLlama(model)
        let runner = try makeRunner(model, threads: 2, chunk: 16)
        for length in [7, 40] {  // two windows in a step, and one window in three
            let windows = 3
            var random = Random(seed: 5)
            var hidden = (0..<windows * length * 64).map { _ in random.normal() }
            let before = hidden
            var seen: [TapPoint: Int] = [:]
            try hidden.withUnsafeMutableBufferPointer {
                try runner.runBlock(
                    1, hidden: $0, windows: windows, length: length,
                    observer: { values in
                        seen[values.point, default: 0] += values.tokens
                    })
            }
            #expect(
                seen == Dictionary(uniqueKeysWithValues: TapPoint.allCases.map { ($0, windows * length) }))
            for window in 0..<windows {
                var rows = (0..<length).map { token in
                    before[((window * length + token) * 64)...].prefix(64).map(Double.init)
                }
                reference.runBlock(1, &rows)
                let actual = (0..<length).map { Array(hidden[((window * length + $0) * 64)...].prefix(64)) }
                #expect(largestDifference(actual, rows) < 2e-4)
            }
        }
    }

    @Test func refusesWhatDoesNotFit() throws {
        let runner = try makeRunner(try tinyModel(.f32))
        let sequence = runner.makeSequence(capacity: 4)
        runner.begin()
        #expect(throws: ModelError.promptTooLong(tokens: 5, context: 4)) {
            try randomTokens(5).withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        }
        #expect(throws: ModelError.tokenOutOfRange(id: 97, vocabulary: 97)) {
            try [TokenID(97)].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
        }
    }

    @Test func everyParameterIsVisitedOnce() throws {
        let model = try tinyModel(.f32)
        var names: [String] = []
        model.visit { names.append($0.name) }
        #expect(names.count == Set(names).count)
        #expect(names.count == 1 + 2 * 9 + 1 + 1)
    }

    /// Pages outside of every window go back to the pool; what is left gives the same logits.
    @Test func pagesOutsideAllWindowsAreFreed() throws {
        let fixture = try FamilyFixture("mistral")
        let model = try LanguageModel(fixture.checkpoint)
        let tokens = (0..<520).map { TokenID(3 + $0 * 7 % 50) }
        let runner = try makeRunner(model, chunk: 40)
        let sequence = runner.makeSequence(capacity: 600)
        var last: [[Float]] = []
        for start in stride(from: 0, to: tokens.count, by: 40) {
            last = try allLogits(runner, Array(tokens[start..<start + 40]), sequence)
        }
        let whole = try makeRunner(model, chunk: 520)
        let all = try allLogits(whole, tokens, whole.makeSequence(capacity: 600))
        #expect(Array(all.suffix(40)) == last)
        // Nine pages of each list would be there; a window of 24 and 128 tokens to go back to need four.
        #expect(runner.pagesInUse == 4 * 2 * 2)
        #expect(sequence.truncate(to: 450) == 450)
        #expect(sequence.truncate(to: 200) == 0)
        #expect(sequence.length == 0 && runner.pagesInUse == 0)
    }
}

extension WeightFormat {
    static func masked(of format: WeightFormat) -> WeightFormat { format.masked ?? format }
}
