import Synchronization
import Testing
import WinnowCore
import WinnowIO
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#endif

/// Reads a file, until it is told not to.
private final class FaultyReader: RangeReader {
    enum Fault: Sendable { case none, error, short, slow, changedMask }

    let path: String
    let alignment = 1
    private let file: FileRangeReader
    private let state: Mutex<(fault: Fault, reads: Int)>

    init(_ path: String) throws {
        self.path = path
        file = try FileRangeReader(path, cached: true)
        state = Mutex((.none, 0))
    }

    func set(_ fault: Fault) { state.withLock { $0.fault = fault } }
    var reads: Int { state.withLock { $0.reads } }

    func read(at offset: Int, into memory: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        let fault = state.withLock { state in
            state.reads += 1
            return state.fault
        }
        switch fault {
        case .none: return try file.read(at: offset, into: memory)
        case .error: throw FileError(path, operation: "read", code: EIO)
        case .short:
            // A few bytes at a time, as a busy disk may give them.
            return try file.read(
                at: offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<min(777, memory.count)]))
        case .slow:
            usleep(2000)
            return try file.read(at: offset, into: memory)
        case .changedMask:
            let count = try file.read(at: offset, into: memory)
            for index in 0..<count { memory[index] = 0xFF }
            return count
        }
    }
}

@Suite struct WeightStoreTests {
    /// A model of four blocks in a folder of files, opened again.
    private func withModel<Result>(
        _ format: WeightFormat, tied: Bool = false,
        _ body: (() throws -> LanguageModel, String) throws -> Result
    ) throws -> Result {
        try TemporaryFolder.with { folder in
            let made = try LanguageModel.synthetic(
                SyntheticShape(
                    name: "tiny", layers: 4, width: 64, feedForwardWidth: 96, heads: 4, keyValueHeads: 2,
                    vocabularySize: 260, tiesEmbeddings: tied),
                format: format, sparsity: 0.5, headFormat: .f16, seed: 7, sharingMemory: true)
            try made.writeSynthetic(to: "\(folder)/model")
            let result = try body(
                { try LanguageModel(Checkpoint.open("\(folder)/model")) },
                "\(folder)/model/model.safetensors")
            for name in FilePath.entries("\(folder)/model") { unlink("\(folder)/model/\(name)") }
            return result
        }
    }

    private func request(_ placement: WeightPlacement, limit: Int? = nil) -> WeightRequest {
        var request = WeightRequest()
        request.placement = placement
        request.limit = limit
        return request
    }

    @Test(arguments: ["f32", "q8_0", "q4_1", "int8", "int4", "masked-int8", "masked-q4_1"], [false, true])
    func bitsAreThoseOfTheMappedFile(_ name: String, _ tied: Bool) throws {
        try withModel(try #require(WeightFormats.named(name)), tied: tied) { open, _ in
            let tokens = randomTokens(37)
            let expected = try allLogits(try makeRunner(try open(), threads: 2), tokens)
            for placement in WeightPlacement.allCases {
                let runner = try makeRunner(try open(), threads: 2)
                let plan = try runner.placeWeights(request(placement))
                #expect(plan.placement == (placement == .auto ? .resident : placement))
                #expect(try allLogits(runner, tokens) == expected, "\(placement)")
            }
        }
    }

    @Test func aLimitKeepsWhatFitsAndStreamsTheRest() throws {
        try withModel(.q8_0) { open, _ in
            let tokens = randomTokens(20)
            let expected = try allLogits(try makeRunner(try open()), tokens)
            let least = try makeRunner(try open())
            let small = try least.placeWeights(request(.streamed))
            #expect(small.streamedBlocks == [0, 1, 2, 3] && small.streamsHead && small.streamsEmbedding)
            var limits = Set<Int>()
            let whole = try open().byteCount + least.byteCount
            for limit in stride(
                from: small.memoryBytes + least.byteCount, to: whole + (1 << 19), by: 16 << 10)
            {
                let runner = try makeRunner(try open())
                guard let plan = try? runner.placeWeights(request(.auto, limit: limit)) else { continue }
                #expect(plan.memoryBytes + runner.byteCount <= limit)
                limits.insert(plan.streamedBlocks.count)
                #expect(try allLogits(runner, tokens) == expected, "\(plan)")
                guard plan.placement == .streamed else { continue }
                #expect(plan.predictedStepsPerSecond ?? 0 > 0)
                #expect(runner.store?.statistics?.bytesRead ?? 0 > 0)
            }
            #expect(limits.contains(0) && limits.contains(4) && limits.count > 2, "\(limits)")
        }
    }

    @Test func aPassReadsEachWeightOnce() throws {
        try withModel(.int8) { open, _ in
            let runner = try makeRunner(try open(), chunk: 1)
            let plan = try runner.placeWeights(request(.streamed))
            _ = try allLogits(runner, randomTokens(50))
            let statistics = try #require(runner.store?.statistics)
            // What is read ahead after the last pass comes on top.
            #expect(statistics.bytesRead >= 50 * plan.bytesPerStep)
            #expect(statistics.bytesRead <= 51 * plan.bytesPerStep + 2 * plan.ringBytes)
            #expect(statistics.bytesDropped == 0)
        }
    }

    @Test func severalTextsShareAPass() throws {
        try withModel(.q4_1) { open, _ in
            let prompts = [randomTokens(5, seed: 1), randomTokens(6, seed: 2), randomTokens(3, seed: 3)]
            let alone = try prompts.map { try allLogits(try makeRunner(try open(), chunk: 32), $0).last! }
            let runner = try makeRunner(try open(), threads: 2, chunk: 32)
            let plan = try runner.placeWeights(request(.streamed))
            runner.begin()
            var last: [Int] = []
            for prompt in prompts {
                let sequence = runner.makeSequence(capacity: 16)
                try prompt.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
                last.append((last.last ?? -1) + prompt.count)
            }
            try runner.run()
            let logits = try runner.logits(rows: last)
            for (row, expected) in alone.enumerated() {
                #expect(Array(logits[row * 260..<(row + 1) * 260]) == expected)
            }
            #expect(try #require(runner.store?.statistics).bytesRead <= plan.bytesPerStep + plan.ringBytes)
        }
    }

    @Test(arguments: [true, false])
    func aDiskThatFailsEndsTheStepAndNothingElse(_ isTied: Bool) throws {
        try withModel(.int8, tied: isTied) { open, path in
            let tokens = randomTokens(8)
            let expected = try allLogits(try makeRunner(try open()), tokens + tokens)
            let reader = try FaultyReader(path)
            let runner = try makeRunner(try open())
            try runner.placeWeights(request(.streamed)) { _ in reader }
            let sequence = runner.makeSequence(capacity: 64)
            #expect(try allLogits(runner, tokens, sequence) == Array(expected.prefix(8)))
            reader.set(.error)
            let error = #expect(throws: WeightStoreError.self) {
                // Two stages were read ahead.
                for _ in 0..<2 { _ = try allLogits(runner, tokens, sequence) }
            }
            guard case .unreadable(.refused(FileError(path, operation: "read", code: EIO), _)) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(sequence.length == 8)
            // Reads of a few bytes each give the same.
            reader.set(.short)
            #expect(try allLogits(runner, tokens, sequence) == Array(expected.suffix(8)))
        }
    }

    @Test func aFileCutShortIsATypedError() throws {
        try withModel(.int8) { open, path in
            let runner = try makeRunner(try open())
            try runner.placeWeights(request(.streamed))
            let sequence = runner.makeSequence(capacity: 256)
            _ = try allLogits(runner, randomTokens(8), sequence)
            #expect(truncate(path, 5000) == 0)
            let error = #expect(throws: WeightStoreError.self) {
                for _ in 0..<2 { _ = try allLogits(runner, randomTokens(8), sequence) }
            }
            guard case .unreadable(.endsEarly(path, _, _, _)) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func aMaskThatChangedIsRefused() throws {
        try withModel(.maskedInt8) { open, path in
            let reader = try FaultyReader(path)
            let runner = try makeRunner(try open())
            try runner.placeWeights(request(.streamed)) { _ in reader }
            let sequence = runner.makeSequence(capacity: 256)
            _ = try allLogits(runner, randomTokens(8), sequence)
            reader.set(.changedMask)
            let error = #expect(throws: WeightStoreError.self) {
                for _ in 0..<2 { _ = try allLogits(runner, [TokenID(1)], sequence) }
            }
            guard case .changed = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func cancelledStepLeavesNoTrace() throws {
        try withModel(.q8_0) { open, path in
            let reader = try FaultyReader(path)
            let runner = try makeRunner(try open())
            try runner.placeWeights(request(.streamed)) { _ in reader }
            let sequence = runner.makeSequence(capacity: 64)
            let first = randomTokens(8)
            _ = try allLogits(runner, first, sequence)
            reader.set(.slow)
            let cancellation = CancellationFlag()
            cancellation.cancel()
            runner.begin()
            try randomTokens(4, seed: 9).withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            #expect(throws: ModelError.cancelled) { try runner.run(cancellation: cancellation) }
            let next = randomTokens(3, seed: 10)
            let expected = try allLogits(try makeRunner(try open()), first + next).suffix(3)
            #expect(try allLogits(runner, next, sequence) == Array(expected))
        }
    }

    @Test func aLimitThatIsTooSmallSaysTheLeast() throws {
        try withModel(.int8) { open, _ in
            let runner = try makeRunner(try open())
            let error = #expect(throws: WeightPlanError.self) {
                try runner.placeWeights(request(.auto, limit: 1 << 10))
            }
            guard case .limitTooSmall(1024, let minimum, let fixed) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(fixed > runner.byteCount && minimum > fixed)
            #expect(throws: WeightPlanError.limitTooSmall(limit: minimum - 1, minimum: minimum, fixed: fixed))
            {
                try runner.placeWeights(request(.auto, limit: minimum - 1))
            }
            #expect(try runner.placeWeights(request(.auto, limit: minimum)).placement == .streamed)
            #expect(throws: MemoryLimitError.self) {
                try makeRunner(try open()).placeWeights(request(.resident, limit: 1024))
            }
        }
    }

    @Test func weightsMadeInMemoryAreNotStreamed() throws {
        let runner = try makeRunner(try tinyModel(.int8))
        #expect(throws: WeightPlanError.self) { try runner.placeWeights(request(.streamed)) }
        #expect(try runner.placeWeights(request(.auto)).placement == .resident)
    }

    /// Experts are all read; only those that rows go to are run.
    @Test(arguments: FamilyFixture.names)
    func familiesStreamToo(_ family: String) throws {
        func open() throws -> LanguageModel {
            try LanguageModel(Checkpoint.open("\(FamilyFixture.folder)/\(family)"))
        }
        let tokens = randomTokens(12).map { $0 % 30 }
        let expected = try allLogits(try makeRunner(try open()), tokens)
        let runner = try makeRunner(try open())
        if ["gpt2", "gpt-neox", "llama-dynamic"].contains(family) {
            // Matrices that are turned or reordered when they are opened; a model of a single block.
            #expect(throws: WeightPlanError.self) { try runner.placeWeights(request(.streamed)) }
            return
        }
        let plan = try runner.placeWeights(request(.streamed))
        #expect(plan.placement == .streamed && plan.streamedBlocks.count == plan.blocks)
        #expect(try allLogits(runner, tokens) == expected)
    }
}
