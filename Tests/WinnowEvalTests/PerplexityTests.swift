import Testing
import WinnowCore
import WinnowEval
import WinnowModels
import WinnowTestKit
import WinnowText
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct PerplexityTests {
    private func model() throws -> LanguageModel {
        try LanguageModel.synthetic(
            SyntheticShape(
                name: "tiny", layers: 2, width: 64, feedForwardWidth: 96, heads: 4, keyValueHeads: 2,
                vocabularySize: 97, tiesEmbeddings: true),
            format: .f32, sparsity: 0, headFormat: .f32, seed: 11)
    }

    private func runner(
        _ model: LanguageModel, chunk: Int, logitRows: Int = 3, threads: Int = 1
    ) throws -> ModelRunner {
        var configuration = ModelRunner.Configuration(threads: threads)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = chunk
        configuration.logitRows = logitRows
        return try ModelRunner(model, configuration)
    }

    private func ids(_ count: Int) -> [TokenID] {
        var random = Random(seed: 5)
        return (0..<count).map { _ in TokenID(random.next() % 97) }
    }

    /// Mean and standard error of the perplexity by the definition, in float64.
    private func expected(
        _ model: LanguageModel, _ ids: [TokenID], window: Int, first: Int, bos: TokenID?
    ) throws -> (perplexity: Double, standardError: Double, scored: Int) {
        let reference = try ReferenceLlama(model)
        var losses: [Double] = []
        for start in stride(from: 0, through: ids.count - window, by: window) {
            var tokens = Array(ids[start..<start + window])
            if let bos { tokens[0] = bos }
            let logits = reference.logits(tokens)
            for target in first..<window {
                let row = logits[target - 1]
                losses.append(log(row.map { exp($0) }.reduce(0, +)) - row[Int(tokens[target])])
            }
        }
        let mean = losses.reduce(0, +) / Double(losses.count)
        let variance = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(losses.count)
        let perplexity = exp(mean)
        return (
            perplexity, perplexity * (variance / Double(losses.count - 1)).squareRoot(), losses.count
        )
    }

    @Test(arguments: [
        (Perplexity.Score.half, 11, nil as TokenID?), (.half, 12, 1), (.all, 12, nil), (.all, 7, 4),
    ])
    func agreesWithTheDefinition(_ score: Perplexity.Score, _ window: Int, _ bos: TokenID?) throws {
        let model = try model()
        let ids = ids(60)
        var perplexity = Perplexity()
        perplexity.window = window
        perplexity.score = score
        let first = score == .half ? window / 2 + 1 : 1
        let expected = try expected(model, ids, window: window, first: first, bos: bos)
        let result = try perplexity.evaluate(ids, bos: bos, on: try runner(model, chunk: 64))
        #expect(abs(result.perplexity / expected.perplexity - 1) < 1e-5)
        #expect(abs(result.standardError / expected.standardError - 1) < 1e-4)
        #expect(result.scoredTokens == expected.scored)
        #expect(result.windows == 60 / window)
        #expect(result.tokens == 60)
        #expect(result.bos == (bos != nil))
    }

    /// Windows that share a step, stand alone, or take several steps give the same bits, on any threads.
    @Test func dependsOnNoBatching() throws {
        let model = try model()
        let ids = ids(70)
        var perplexity = Perplexity()
        perplexity.window = 20
        let alone = try perplexity.evaluate(ids, bos: nil, on: try runner(model, chunk: 20))
        for (chunk, rows, threads) in [(40, 3, 1), (64, 64, 2), (7, 1, 1), (13, 5, 2)] {
            let other = try perplexity.evaluate(
                ids, bos: nil, on: try runner(model, chunk: chunk, logitRows: rows, threads: threads))
            #expect(other.negativeLogLikelihood == alone.negativeLogLikelihood)
            #expect(other.standardError == alone.standardError)
        }
    }

    @Test func stopsAtTheMostWindows() throws {
        var perplexity = Perplexity()
        perplexity.window = 10
        perplexity.maxWindows = 2
        var seen: [[Int]] = []
        let result = try perplexity.evaluate(ids(60), bos: nil, on: try runner(try model(), chunk: 10)) {
            seen.append([$0, $1])
        }
        #expect(result.windows == 2)
        #expect(seen == [[1, 2], [2, 2]])
    }

    @Test func refusesWhatCannotBeMeasured() throws {
        let runner = try runner(try model(), chunk: 16)
        var perplexity = Perplexity()
        perplexity.window = 10
        #expect(throws: PerplexityError.textTooShort(tokens: 9, window: 10)) {
            try perplexity.evaluate(ids(9), bos: nil, on: runner)
        }
        perplexity.window = 1
        #expect(throws: PerplexityError.windowTooShort(1, .half)) {
            try perplexity.evaluate(ids(9), bos: nil, on: runner)
        }
        let context = runner.model.configuration.contextLength
        perplexity.window = context + 1
        #expect(throws: PerplexityError.windowTooLong(context + 1, context: context)) {
            try perplexity.evaluate(ids(9), bos: nil, on: runner)
        }
        perplexity.window = 8
        let flag = CancellationFlag()
        flag.cancel()
        #expect(throws: ModelError.cancelled) {
            try perplexity.evaluate(ids(9), bos: nil, on: runner, cancellation: flag)
        }
    }

    @Test func damagedWeightsAreNamed() throws {
        let model = try model()
        let norm = model.blocks[1].feedForward!.down.weight
        let width = norm.matrix.columns
        let values = [Float](repeating: .nan, count: norm.matrix.count)
        norm.replace(
            with: try WeightMatrix(
                format: .f32, rows: norm.matrix.rows, columns: width,
                parts: WeightMatrix.Parts(values: StorageSlice(copying: values)), name: norm.name))
        var perplexity = Perplexity()
        perplexity.window = 8
        #expect(throws: PerplexityError.notFinite(position: 4)) {
            try perplexity.evaluate(ids(16), bos: nil, on: try runner(model, chunk: 16))
        }
    }
}
