import Testing
import WinnowCore
import WinnowEval
import WinnowModels
import WinnowTestKit
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private let fixtures: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(2)
    return parts.joined(separator: "/") + "/Fixtures"
}()

@Suite struct ComparisonTests {
    private func open(_ name: String, chunk: Int = 16) throws -> (
        runner: ModelRunner, tokenizer: Tokenizer, model: LanguageModel
    ) {
        let loaded = try LoadedModel(opening: "\(fixtures)/\(name)")
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.activations = .exact
        configuration.kvType = .f32
        configuration.chunk = chunk
        configuration.logitRows = 5
        return (try ModelRunner(loaded.model, configuration), loaded.tokenizer, loaded.model)
    }

    private let text = Array(
        "The quick brown fox jumps over the lazy dog, again and again and again. 0123456789".utf8)

    private func compare(_ a: String, _ b: String, chunk: Int = 16) throws -> OutputComparison.Result {
        let (first, second) = (try open(a, chunk: chunk), try open(b, chunk: chunk))
        var comparison = OutputComparison()
        comparison.window = 20
        comparison.maxWindows = 2
        return try comparison.run(text, (first.runner, first.tokenizer), (second.runner, second.tokenizer))
    }

    @Test func aModelIsItself() throws {
        let result = try compare("tiny-llama/tied", "tiny-llama/tied")
        #expect(
            result.positions == 38 && result.agreements == 38
                && result.divergences.allSatisfy { abs($0) < 1e-12 })
        #expect(result.blocks.allSatisfy { $0.relativeError == 0 && abs($0.cosine - 1) < 1e-12 })
    }

    /// Against both models' float64 references.
    @Test(arguments: [16, 64]) func figuresAreThoseOfTheLogits(_ chunk: Int) throws {
        let result = try compare("tiny-llama/tied", "tiny-llama/untied", chunk: chunk)
        let (first, second) = (try open("tiny-llama/tied"), try open("tiny-llama/untied"))
        let ids = first.tokenizer.encode(
            String(decoding: text, as: UTF8.self), addBOS: first.tokenizer.addsBOS)
        var divergences: [Double] = []
        var agreements = 0
        var losses = (0.0, 0.0)
        var blocks = [(difference: Double, norm: Double, cosine: Double)](repeating: (0, 0, 0), count: 2)
        let references = try (ReferenceLlama(first.model), ReferenceLlama(second.model))
        for window in 0..<2 {
            var tokens = Array(ids[window * 20..<(window + 1) * 20])
            if first.tokenizer.addsBOS { tokens[0] = first.tokenizer.bosID! }
            let (p, q) = (references.0.logits(tokens), references.1.logits(tokens))
            for place in 0..<19 {
                func normed(_ x: [Double]) -> [Double] {
                    let total = log(x.reduce(0) { $0 + exp($1) })
                    return x.map { $0 - total }
                }
                let (a, b) = (normed(p[place]), normed(q[place]))
                divergences.append(zip(a, b).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) })
                if a.indices.max(by: { a[$0] < a[$1] }) == b.indices.max(by: { b[$0] < b[$1] }) {
                    agreements += 1
                }
                losses.0 -= a[Int(tokens[place + 1])]
                losses.1 -= b[Int(tokens[place + 1])]
            }
            var states = (references.0.embed(tokens), references.1.embed(tokens))
            for block in 0..<2 {
                references.0.runBlock(block, &states.0)
                references.1.runBlock(block, &states.1)
                for (x, y) in zip(states.0, states.1) {
                    let dot = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
                    let (xx, yy) = (x.reduce(0) { $0 + $1 * $1 }, y.reduce(0) { $0 + $1 * $1 })
                    blocks[block].difference += xx + yy - 2 * dot
                    blocks[block].norm += xx
                    blocks[block].cosine += dot / (xx * yy).squareRoot() / 40
                }
            }
        }
        #expect(zip(result.divergences, divergences.sorted()).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(result.agreements == agreements && agreements < 38)
        #expect(abs(result.perplexities.first - exp(losses.0 / 38)) < 1e-2)
        #expect(abs(result.perplexities.second - exp(losses.1 / 38)) < 1e-2)
        for (own, expected) in zip(result.blocks, blocks) {
            #expect(abs(own.relativeError - (expected.difference / expected.norm).squareRoot()) < 1e-4)
            #expect(abs(own.cosine - expected.cosine) < 1e-4)
        }
        #expect(
            result.divergence(at: 0.5) == result.divergences[19]
                && result.divergence(at: 1) == result.divergences[37])
    }

    @Test func otherVocabulariesAreRefused() {
        #expect(throws: OutputComparisonError.otherVocabulary) {
            try compare("tiny-llama/tied", "families/gpt2")
        }
    }

    /// A GGUF file has q and k in another order of rows than the folder it was made from: they are the same weights.
    @Test func weightsAreComparedInOneOrder() throws {
        let (folder, file) = (try open("tiny-llama/tied"), try open("tiny-llama/tied-q4_1.gguf"))
        let layers = WeightComparison.all(folder.model, file.model, on: folder.runner.pool)
        #expect(
            layers.count == 14
                && layers.allSatisfy { ($0.relativeError ?? 1) < 0.15 && $0.second?.format == "q4_1" })
        let same = WeightComparison.all(folder.model, folder.model, on: folder.runner.pool)
        #expect(same.allSatisfy { $0.relativeError == 0 && $0.first == $0.second })
    }
}
