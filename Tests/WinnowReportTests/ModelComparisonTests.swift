import Testing
import WinnowReport

@Suite struct ModelComparisonTests {
    private static func row(
        _ name: String, perplexity: Double, bytes: Int, decode: Double, remark: String? = nil
    ) -> ModelComparison.Row {
        var row = ModelComparison.Row(name, remark: remark)
        row.perplexity = perplexity
        row.standardError = 0.25
        row.bytes = bytes
        row.bitsPerWeight = 4.5
        row.decodeTokensPerSecond = decode
        row.prefillTokensPerSecond = 1000
        row.zeros = 1
        row.prunable = 2
        return row
    }

    private static let base = row("as given", perplexity: 20, bytes: 100 << 20, decode: 150)

    private func verdict(_ others: ModelComparison.Row...) -> String {
        ModelComparison(base: ModelComparisonTests.base, others: others).verdict
    }

    @Test func aVersionThatCostsNothingWins() {
        #expect(
            verdict(
                ModelComparisonTests.row("a", perplexity: 19.9, bytes: 90 << 20, decode: 149),
                ModelComparisonTests.row("b", perplexity: 40, bytes: 50 << 20, decode: 200))
                == "a beats the file as given (100 MiB, perplexity 20.00, decode 150 tokens/s): it is 10.0 % smaller "
                + "and decodes as fast, at a perplexity of 19.90.")
    }

    @Test func whatCostsQualityDoesNotWin() {
        #expect(
            verdict(
                ModelComparisonTests.row("a", perplexity: 22, bytes: 90 << 20, decode: 165),
                ModelComparisonTests.row("b", perplexity: 90, bytes: 50 << 20, decode: 300))
                == "Nothing here beats the file as given (100 MiB, perplexity 20.00, decode 150 tokens/s): of what is "
                + "smaller or faster, a loses least, and it is 10.0 % smaller and decodes 10.0 % faster at a "
                + "perplexity 10.0 % higher (22.00).")
        #expect(
            verdict(ModelComparisonTests.row("b", perplexity: 90, bytes: 50 << 20, decode: 300))
                .hasSuffix("at a perplexity 4.5 times as high (90.00)."))
    }

    @Test func whatCostsSpeedOrSizeDoesNotWin() {
        #expect(
            verdict(ModelComparisonTests.row("slow", perplexity: 20, bytes: 90 << 20, decode: 100))
                .hasSuffix(": slow keeps its perplexity, but is 10.0 % smaller and decodes 33.3 % slower."))
        #expect(
            verdict(ModelComparisonTests.row("fast", perplexity: 20, bytes: 110 << 20, decode: 300))
                .hasSuffix(": fast keeps its perplexity, but is 10.0 % larger and decodes 100.0 % faster."))
    }

    @Test func figuresWithinTheNoiseAreNoGain() {
        #expect(
            verdict(ModelComparisonTests.row("same", perplexity: 20, bytes: 100 << 20, decode: 153))
                .hasSuffix(": no other version is smaller or decodes faster."))
    }

    @Test func brokenRowsNeverWin() {
        #expect(
            verdict(ModelComparisonTests.row("broken", perplexity: .nan, bytes: 1, decode: 1e6))
                .hasPrefix("Nothing here beats"))
        #expect(
            verdict(ModelComparisonTests.row("unmeasured", perplexity: 20, bytes: 1, decode: .nan))
                .hasPrefix("Nothing here beats"))
        #expect(verdict() == "Only the file as given was measured.")
    }

    @Test func theFileAsGivenComesFirstEverywhere() throws {
        let comparison = ModelComparison(
            base: ModelComparisonTests.base,
            others: [
                ModelComparisonTests.row(
                    "2:4", perplexity: 50, bytes: 80 << 20, decode: 140, remark: "without retraining")
            ])
        #expect(comparison.table.highlighted == [0])
        #expect(comparison.table.rows[1][0] == "2:4 (without retraining)")
        #expect(comparison.table.rows[0][4] == "20.00 ± 0.25")
        let page = Page(
            "t", lead: comparison.verdict,
            sections: [
                .init(nil, [comparison.table]),
                .init("c", isGrid: true, comparison.charts + comparison.samples),
            ])
        let elements = try XMLChecker.elements(of: page.html)
        #expect(elements.count { $0.name == "svg" } == 4)
        #expect(elements.count { $0.attributes["class"] == "bar base" } == 3)
        #expect(comparison.rows[1].json["sparsity"]?.number == 0.5)
    }
}
