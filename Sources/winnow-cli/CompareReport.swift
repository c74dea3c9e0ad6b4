import WinnowData
import WinnowEval
import WinnowJSON
import WinnowReport

/// What `compare` found, as text, JSON and a page.
struct CompareReport {
    let names: (first: String, second: String)
    let bytes: (first: Int, second: Int)
    let outputs: OutputComparison.Result
    let weights: [WeightComparison]
    let source: TextSource
    let activations: String

    private static let shares = [0.5, 0.9, 0.99]

    var json: JSONValue {
        [
            "kl": .number(outputs.meanDivergence),
            "klPercentiles": .object(
                JSONObject(
                    CompareReport.shares.map {
                        (Format.fixed($0 * 100, 0), .number(outputs.divergence(at: $0)))
                    })),
            "topOneAgreement": .number(outputs.topOneAgreement),
            "perplexity": [.number(outputs.perplexities.first), .number(outputs.perplexities.second)],
            "bytes": [.integer(Int64(bytes.first)), .integer(Int64(bytes.second))],
            "positions": .integer(Int64(outputs.positions)), "windows": .integer(Int64(outputs.windows)),
            "window": .integer(Int64(outputs.window)), "textSha256": .string(source.sha256),
            "activations": .string(activations),
            "blocks": .array(
                outputs.blocks.map {
                    ["relativeError": .number($0.relativeError), "cosine": .number($0.cosine)]
                }),
            "layers": .array(
                weights.map { layer in
                    [
                        "name": .string(layer.name),
                        "relativeError": layer.relativeError.map { .number($0) } ?? .null,
                        "first": json(layer.first), "second": json(layer.second),
                    ]
                }),
        ]
    }

    private func json(_ side: WeightComparison.Side?) -> JSONValue {
        guard let side else { return .null }
        return [
            "format": .string(side.format), "shape": .array(side.shape.map { .integer(Int64($0)) }),
            "zeros": .integer(Int64(side.zeros)), "bytes": .integer(Int64(side.bytes)),
        ]
    }

    /// The sentence a reader takes away.
    private var lead: String {
        "\(names.second) finds the same token most likely as \(names.first) at \(Format.percent(outputs.topOneAgreement)) of "
            + "\(Format.count(outputs.positions)) positions; the mean divergence is \(Format.fixed(outputs.meanDivergence, 4)) nats, "
            + "perplexity \(Format.fixed(outputs.perplexities.first, 2)) and \(Format.fixed(outputs.perplexities.second, 2)) "
            + "(\(Format.change(from: outputs.perplexities.first, to: outputs.perplexities.second))), "
            + "\(Format.bytes(bytes.first)) and \(Format.bytes(bytes.second)) on disk."
    }

    /// Matrices of one block, summed; the rest of a name tells them apart.
    private var table: Table {
        var table = Table([
            .init("matrix"), .init("formats"), .figures("zeros"), .figures("size"), .figures("distance"),
        ])
        for layer in weights {
            func pair(_ show: (WeightComparison.Side) -> String) -> String {
                let (a, b) = (layer.first.map(show) ?? "–", layer.second.map(show) ?? "–")
                return a == b ? a : "\(a) → \(b)"
            }
            table.add([
                layer.name, pair(\.format),
                pair { Format.percent(Double($0.zeros) / Double($0.shape[0] * $0.shape[1])) },
                pair { Format.bytes($0.bytes) },
                layer.relativeError.map { Format.fixed($0, 4) } ?? "other shape",
            ])
        }
        return table
    }

    var text: String {
        var lines = lead + "\n\n"
        var table = Table([.figures("share of positions"), .figures("divergence up to, nats")])
        for share in CompareReport.shares {
            table.add([Format.percent(share), Format.fixed(outputs.divergence(at: share), 4)])
        }
        lines += table.text
        if !outputs.blocks.isEmpty {
            var blocks = Table([
                .figures("block"), .figures("distance of hidden states"), .figures("cosine"),
                .figures("of weights"),
            ])
            for (index, block) in outputs.blocks.enumerated() {
                blocks.add([
                    "\(index)", Format.fixed(block.relativeError, 4), Format.fixed(block.cosine, 5),
                    weightDistance(ofBlock: index).map { Format.fixed($0, 4) } ?? "–",
                ])
            }
            lines += "\n" + blocks.text
        }
        return lines
    }

    /// The largest of a block's matrices.
    private func weightDistance(ofBlock index: Int) -> Double? {
        let marks = [".layers.\(index).", ".h.\(index).", ".layer.\(index)."]
        return weights.filter { layer in marks.contains { layer.name.contains($0) } }.compactMap(
            \.relativeError
        ).max()
    }

    var page: Page {
        var charts: [any PageElement] = []
        if !outputs.blocks.isEmpty {
            func line(_ value: (OutputComparison.Result.Block) -> Double) -> [LineChart.Point] {
                outputs.blocks.enumerated().map { LineChart.Point(Double($0.offset), value($0.element)) }
            }
            charts.append(
                LineChart(
                    "Distance of hidden states", x: "block", y: "relative error",
                    lines: [.init("hidden states", line(\.relativeError))],
                    note: "Norm of the difference over the norm of A's."))
            let distances = outputs.blocks.indices.map {
                LineChart.Point(Double($0), weightDistance(ofBlock: $0) ?? .nan)
            }
            charts.append(
                LineChart(
                    "Distance of weights", x: "block", y: "relative error",
                    lines: [.init("largest of a block", distances)]))
        }
        let points = stride(from: 0.0, through: 0.995, by: 0.005).map {
            LineChart.Point($0 * 100, outputs.divergence(at: $0))
        }
        charts.append(
            LineChart(
                "Divergence KL(A || B)", x: "share of positions, %", y: "nats",
                lines: [.init("not above", points)]))
        return Page(
            "\(names.second) beside \(names.first)", lead: lead,
            sections: [.init("What changes", isGrid: true, charts), .init("Matrices", [table])],
            conditions: [
                ("A", names.first), ("B", names.second), ("text", "\(source.name), sha256 \(source.sha256)"),
                ("windows", "\(outputs.windows) of \(outputs.window) tokens, every position but the first"),
                ("activations", activations),
            ], data: json)
    }
}
