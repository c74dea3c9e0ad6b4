import WinnowData
import WinnowEval
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport

/// What `eval neurons` found, as text, JSON and a page.
struct NeuronReport {
    struct Variant {
        let name: String
        let beta: Double
        let policy: any NeuronPolicy
    }

    let scope: NeuronScope
    let betas: [Double]
    /// The dense one first, then as many for each share, named alike.
    let variants: [Variant]
    let found: NeuronPerplexity.Results
    let speeds: [Double: SpeedBenchmark.NeuronSpeed]
    let window: Int
    let alpha: Double
    let source: TextSource
    let activations: String
    let model: String
    let generateTokens: Int
    let repeats: Int

    private var dense: NeuronPerplexity.Result { found.results[0] }
    private var names: [String] { variants.dropFirst().prefix(perShare).map(\.name) }
    private var perShare: Int { (variants.count - 1) / betas.count }

    private func results(_ place: Int) -> ArraySlice<(variant: Variant, result: NeuronPerplexity.Result)> {
        Array(zip(variants, found.results).map { (variant: $0, result: $1) })[
            (1 + place * perShare)..<(1 + (place + 1) * perShare)]
    }

    private var layers: String { "\(scope.layers.lowerBound)-\(scope.layers.upperBound)" }

    var json: JSONValue {
        [
            "perplexity": .number(dense.perplexity), "nll": .number(dense.negativeLogLikelihood),
            "layers": [.integer(Int64(scope.layers.lowerBound)), .integer(Int64(scope.layers.upperBound))],
            "alpha": .number(alpha), "windows": .integer(Int64(found.windows)),
            "window": .integer(Int64(window)), "scoredTokens": .integer(Int64(found.scoredTokens)),
            "textSha256": .string(source.sha256), "activations": .string(activations),
            "shares": .array(
                betas.enumerated().map { place, beta in
                    var object = JSONObject([
                        ("beta", .number(beta)),
                        (
                            "policies",
                            .array(
                                results(place).map { entry in
                                    [
                                        "name": .string(entry.variant.name),
                                        "perplexity": .number(entry.result.perplexity),
                                        "nll": .number(entry.result.negativeLogLikelihood),
                                        "share": .number(entry.result.share),
                                        "byteShare": .number(entry.result.byteShare),
                                        "stability": entry.result.stability.map { .number($0) } ?? .null,
                                        "packSeconds": .number(entry.result.packSeconds),
                                    ]
                                })
                        ),
                    ])
                    if let speed = speeds[beta] {
                        object["decodeTokensPerSecond"] = .number(speed.tokensPerSecond)
                        object["denseDecodeTokensPerSecond"] = .number(speed.denseTokensPerSecond)
                        object["decodeRatio"] = .number(speed.ratio)
                        object["decodeRatios"] = .array(speed.ratios.map { .number($0) })
                    }
                    return .object(object)
                }),
        ]
    }

    /// The sentence a reader takes away: the best that the measured shares trade.
    private var lead: String {
        let start =
            "With all neurons \(model) has perplexity \(Format.fixed(dense.perplexity, 2)) on the second halves of "
            + "\(found.windows) windows of \(window) tokens."
        let trades = betas.enumerated().compactMap { place, beta -> String? in
            guard let best = results(place).prefix(2).map(\.result).min(by: { $0.perplexity < $1.perplexity })
            else { return nil }
            let speed = speeds[beta].map { " at \(Format.fixed($0.ratio, 2)) times the decode speed" } ?? ""
            return
                "\(Format.fixed(best.perplexity, 2)) (\(Format.change(from: dense.perplexity, to: best.perplexity)))\(speed) with \(Format.percent(beta, 0))"
        }
        let faster = betas.enumerated().contains { place, beta in
            let best = results(place).prefix(2).map(\.result.perplexity).min() ?? .infinity
            return (speeds[beta]?.ratio ?? 0) > 1.05 && best < dense.perplexity * 1.05
        }
        let verdict =
            speeds.isEmpty
            ? ""
            : faster ? "" : " No share is 5 % faster for less than 5 % of perplexity: it does not pay here."
        return "\(start) Of the neurons of layers \(layers): \(trades.joined(separator: ", ")).\(verdict)"
    }

    private var table: Table {
        var columns: [Table.Column] = [.figures("kept")]
        columns += names.map { .figures($0) }
        columns += [.figures("bytes"), .figures("stability"), .figures("packing")]
        if !speeds.isEmpty { columns += [.figures("decode"), .figures("ratio")] }
        var table = Table(columns)
        var first = ["all"] + names.map { _ in Format.fixed(dense.perplexity, 2) } + ["100.0 %", "–", "–"]
        if !speeds.isEmpty {
            let all = SpeedBenchmark.median(speeds.values.map(\.denseTokensPerSecond))
            first += [Format.rate(all), "1.00"]
        }
        table.add(first, highlighted: true)
        for (place, beta) in betas.enumerated() {
            let row = results(place)
            guard let core = row.first?.result else { continue }
            var cells = [Format.percent(beta, 0)] + row.map { Format.fixed($0.result.perplexity, 2) }
            cells += [
                Format.percent(core.byteShare), core.stability.map { Format.fixed($0, 2) } ?? "–",
                Format.duration(core.packSeconds),
            ]
            if let speed = speeds[beta] {
                cells += [Format.rate(speed.tokensPerSecond), Format.fixed(speed.ratio, 2)]
            }
            table.add(cells)
        }
        table.caption =
            "Perplexities by how the neurons of layers \(layers) were chosen; alpha \(Format.significant(alpha)). bytes: of "
            + "these networks."
        return table
    }

    var text: String { "\(lead)\n\n\(table.text)" }

    var page: Page {
        func line(_ name: String) -> LineChart.Line {
            let place = names.firstIndex(of: name) ?? 0
            var points = betas.indices.map { index in
                let entry = results(index)
                return LineChart.Point(
                    betas[index] * 100,
                    entry[entry.startIndex + place].result.negativeLogLikelihood)
            }
            points.append(.init(100, dense.negativeLogLikelihood))
            return LineChart.Line(name, points.sorted { $0.x < $1.x }, isBase: name == "core")
        }
        var charts: [any PageElement] = [
            LineChart(
                "Loss by what is kept", x: "neurons kept, %", y: "nats a token", lines: names.map(line))
        ]
        if !speeds.isEmpty {
            let points =
                betas.compactMap { beta in speeds[beta].map { LineChart.Point(beta * 100, $0.ratio) } }
                + [.init(100, 1)]
            charts.append(
                LineChart(
                    "Decode speed by what is kept", x: "neurons kept, %", y: "times that with all",
                    lines: [.init("core", points.sorted { $0.x < $1.x }, isBase: true)]))
        }
        return Page(
            "Fewer neurons of \(model)", lead: lead,
            sections: [.init("What it costs", [table]), .init("Curves", isGrid: true, charts)],
            conditions: [
                ("text", "\(source.name), sha256 \(source.sha256)"),
                ("windows", "\(found.windows) of \(window) tokens, their second halves scored"),
                (
                    "speed",
                    speeds.isEmpty
                        ? "not measured"
                        : "\(repeats) pairs of \(generateTokens) tokens after \(window / 2), medians"
                ),
                ("activations", activations),
            ], data: json)
    }
}
