import Testing
import WinnowCore
import WinnowGenerate
import WinnowModels
import WinnowText

/// Requests of every kind: greedy, drawn, with penalties, stops, other lengths.
private func mixedRequests(_ tokenizer: Tokenizer) -> [GenerationRequest] {
    let prompts = [
        "The quick", "a", "The quick brown", String(repeating: "one two three ", count: 6), "The quick",
        "zzz",
        String(repeating: "one two three ", count: 6) + "four",
    ]
    return prompts.enumerated().map { index, prompt in
        GenerationRequest(
            prompt: tokenizer.encode(prompt),
            options: options {
                $0.maxTokens = 3 + index * 5
                $0.temperature = index % 3 == 1 ? 0.9 : 0
                $0.repeatPenalty = index % 2 == 0 ? 1 : 1.2
                $0.seed = UInt64(index)
                $0.stop = index == 5 ? ["e"] : []
            })
    }
}

@Suite struct BatchTests {
    @Test(arguments: [(1, 256), (2, 7), (3, 64), (5, 5), (16, 256)])
    func everyTextIsWhatItIsAlone(_ width: Int, _ chunk: Int) throws {
        let loaded = try tiny()
        let requests = mixedRequests(loaded.tokenizer)
        let batch = BatchGenerator(
            runner: try runner(loaded, logitRows: width, chunk: chunk), tokenizer: loaded.tokenizer)
        var order: [Int] = []
        let results = try batch.generate(requests) { index, _ in order.append(index) }
        #expect(order.sorted() == Array(requests.indices))
        for (request, result) in zip(requests, results) {
            let alone = try TextGenerator(runner: runner(loaded), tokenizer: loaded.tokenizer)
                .generate(request.prompt, request.options)
            #expect(result.tokens == alone.tokens)
            #expect(result.text == alone.text)
            #expect(result.finishReason == alone.finishReason)
        }
    }

    @Test func promptsThatBeginAlikeShareWhatIsComputed() throws {
        let loaded = try tiny()
        let opening = loaded.tokenizer.encode(String(repeating: "one two three ", count: 8))
        #expect(opening.count > 64)
        let requests = ["x", "y", "zz"].map {
            GenerationRequest(
                prompt: opening + loaded.tokenizer.encode($0), options: options { $0.maxTokens = 9 })
        }
        let runner = try runner(loaded, logitRows: 3)
        do {
            let results = try BatchGenerator(runner: runner, tokenizer: loaded.tokenizer).generate(requests)
            #expect(results[0].reusedTokens == 0)
            #expect(
                results[1].reusedTokens >= opening.count - 1 && results[2].reusedTokens >= opening.count - 1)
            for (request, result) in zip(requests, results) {
                let alone = try TextGenerator(
                    runner: WinnowGenerateTests.runner(loaded), tokenizer: loaded.tokenizer
                ).generate(request.prompt, request.options)
                #expect(result.tokens == alone.tokens)
            }
        }
        #expect(runner.pagesInUse == 0)
    }

    @Test func textsWaitForPages() throws {
        let loaded = try tiny()
        let runner = try runner(loaded, logitRows: 8)
        let requests = mixedRequests(loaded.tokenizer)
        var configuration = BatchGenerator.Configuration()
        // Room for the largest alone: they come one after another.
        configuration.cacheBytes = runner.pages(tokens: 128) * runner.pageBytes
        let batch = BatchGenerator(runner: runner, tokenizer: loaded.tokenizer, configuration)
        let free = BatchGenerator(
            runner: try WinnowGenerateTests.runner(loaded, logitRows: 8), tokenizer: loaded.tokenizer)
        let results = try batch.generate(requests)
        #expect(try results.map(\.tokens) == free.generate(requests).map(\.tokens))
        configuration.cacheBytes = runner.pageBytes
        let small = BatchGenerator(runner: runner, tokenizer: loaded.tokenizer, configuration)
        #expect(throws: MemoryLimitError.self) { try small.generate(requests) }
    }

    @Test func cancellingOneLeavesTheOthers() throws {
        let loaded = try tiny()
        let flag = CancellationFlag()
        flag.cancel()
        var requests = mixedRequests(loaded.tokenizer)
        let whole = try BatchGenerator(runner: runner(loaded, logitRows: 3), tokenizer: loaded.tokenizer)
            .generate(requests)
        requests[2].cancellation = flag
        let results = try BatchGenerator(runner: runner(loaded, logitRows: 3), tokenizer: loaded.tokenizer)
            .generate(requests)
        #expect(results[2].finishReason == .cancelled && results[2].tokens.count < whole[2].tokens.count)
        for index in requests.indices where index != 2 {
            #expect(results[index].tokens == whole[index].tokens)
        }
    }

    @Test func cancellingAllKeepsWhatThereIs() throws {
        let loaded = try tiny()
        let flag = CancellationFlag()
        let requests = mixedRequests(loaded.tokenizer)
        let results = try BatchGenerator(runner: runner(loaded, logitRows: 2), tokenizer: loaded.tokenizer)
            .generate(requests, cancellation: flag) { _, _ in flag.cancel() }
        #expect(results.count == requests.count)
        #expect(results.filter { $0.finishReason == .cancelled }.count >= requests.count - 2)
    }

    @Test func badRequestsAreRefusedBeforeAnythingRuns() throws {
        let loaded = try tiny()
        let batch = BatchGenerator(runner: try runner(loaded, logitRows: 2), tokenizer: loaded.tokenizer)
        let good = mixedRequests(loaded.tokenizer)[0]
        func expect(_ error: ModelError, _ prompt: [TokenID]) {
            #expect(throws: error) {
                try batch.generate([good, GenerationRequest(prompt: prompt, options: options())]) { _, _ in
                    Issue.record("a text was made")
                }
            }
        }
        expect(.emptyPrompt, [])
        expect(.promptTooLong(tokens: 128, context: 128), Array(repeating: 5, count: 128))
    }
}

@Suite struct SharedPageTests {
    /// Logits after each token.
    private func logits(_ runner: ModelRunner, _ tokens: [TokenID], _ sequence: KVSequence) throws
        -> [[Float]]
    {
        try tokens.map { token in
            runner.begin()
            try [token].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            try runner.run()
            return try Array(runner.logits(rows: 0..<1))
        }
    }

    @Test(arguments: [1, 63, 64, 65, 80])
    func aForkAndItsSourceGoOnAsIfTheyWereAlone(_ length: Int) throws {
        let runner = try runner(tiny())
        let start = (0..<90).map { TokenID($0 * 7 % 288) }
        let source = runner.makeSequence(capacity: 128)
        _ = try logits(runner, start, source)
        let fork = try #require(source.fork(length: length, capacity: 120))
        let pages = runner.pagesInUse
        let ends: [[TokenID]] = [[3, 4, 5], [9, 8, 7]]
        let forked = try logits(runner, ends[0], fork)
        let went = try logits(runner, ends[1], source)
        let again = try logits(runner, ends[0], fork)
        #expect(runner.pagesInUse > pages || length % 64 == 0 || length == 63)
        let fresh = runner.makeSequence(capacity: 128)
        _ = try logits(runner, Array(start.prefix(length)), fresh)
        #expect(try logits(runner, ends[0], fresh) == forked)
        #expect(try logits(runner, ends[0], fresh) == again)
        let other = runner.makeSequence(capacity: 128)
        _ = try logits(runner, start, other)
        #expect(try logits(runner, ends[1], other) == went)
    }
}
