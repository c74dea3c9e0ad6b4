import WinnowCompress
import WinnowJSON
import WinnowReport

/// What a sweep found: a table, the curves, and where they bend.
struct SweepReport {
    let record: SweepRecord
    let model: String

    private var given: SweepRecord.Run? { record["as given"] }

    /// One curve: runs of a method that differ in their sparsity alone.
    struct Curve {
        let name: String
        let runs: [SweepRecord.Run]
        let isPattern: Bool
        let essential: EssentialSparsity?
    }

    var curves: [Curve] {
        var names: [String] = []
        var groups: [String: [SweepRecord.Run]] = [:]
        for run in record.runs where !run.method.isEmpty {
            let rest = run.settings.pairs.filter { $0.key != "sparsity" && $0.key != "pattern" }
            let isPattern = run.settings["pattern"]?.string.map { $0 != "unstructured" } ?? false
            let name =
                ([run.method] + rest.map { "\($0.key) \($0.value.string ?? $0.value.text())" }).joined(
                    separator: " ")
                + (isPattern ? " N:M" : "")
            if groups[name] == nil { names.append(name) }
            groups[name, default: []].append(run)
        }
        return names.map { name in
            let runs = groups[name]!.sorted { $0.sparsity < $1.sparsity }
            let isPattern = name.hasSuffix(" N:M")
            guard !isPattern, let given else {
                return Curve(name: name, runs: runs, isPattern: isPattern, essential: nil)
            }
            return Curve(
                name: name, runs: runs, isPattern: false,
                essential: EssentialSparsity(
                    runs.map { ($0.sparsity, $0.perplexity) }, dense: given.perplexity))
        }
    }

    var table: Table {
        var table = Table([
            .init("run"), .figures("zeros"), .figures("bits/weight"), .figures("perplexity"),
            .figures("change"),
            .figures("rows emptied"), .figures("seconds"),
        ])
        for run in record.runs {
            table.add(
                [
                    run.name, Format.percent(run.sparsity, 2), Format.fixed(run.bitsPerWeight, 2),
                    "\(Format.significant(run.perplexity, 4)) ± \(Format.significant(run.standardError, 2))",
                    given.map { Format.change(from: $0.perplexity, to: run.perplexity) } ?? "",
                    Format.count(run.emptyRows), run.method.isEmpty ? "" : Format.fixed(run.seconds, 1),
                ], highlighted: run.method.isEmpty)
        }
        return table
    }

    var lead: String {
        let sentences = curves.compactMap { curve -> String? in
            guard let essential = curve.essential, curve.runs.count > 2 else { return nil }
            let within =
                essential.withinTolerance.map { "up to \(Format.percent($0, 0)) zeros" } ?? "no level"
            let knee = essential.knee.map { "; log perplexity bends at \(Format.percent($0.x, 0))" } ?? ""
            return
                "\(curve.name): \(within) within \(Format.percent(essential.tolerance, 0)) of the perplexity as given\(knee)."
        }
        return sentences.isEmpty ? "\(record.runs.count - 1) runs." : sentences.joined(separator: " ")
    }

    var page: Page {
        let curves = curves
        let chart = CurveChart(
            "Perplexity over sparsity", x: "share of zeros", y: "perplexity",
            series: curves.map { curve in
                CurveChart.Series(
                    curve.name, points: curve.runs.map { ($0.sparsity, $0.perplexity) },
                    knee: curve.essential?.knee?.x, isScattered: curve.isPattern || curve.runs.count < 2)
            }, reference: given?.perplexity)
        let frontier = ScatterChart(
            "Size and quality", x: "bits a prunable weight", y: "perplexity",
            points: record.runs.map {
                .init(
                    $0.name, x: $0.bitsPerWeight, y: $0.perplexity, error: $0.standardError,
                    isBase: $0.method.isEmpty)
            })
        return Page(
            "Winnow sweep: \(model)", lead: lead,
            sections: [
                .init(nil, isGrid: true, record.runs.count > 24 ? [chart] : [chart, frontier]),
                .init("Runs", [table]),
            ],
            conditions: record.conditions.pairs.map { ($0.key, $0.value.string ?? $0.value.text()) },
            data: .object(json))
    }

    private var json: JSONObject {
        var json = record.json
        json["curves"] = .array(
            curves.map { curve in
                .object(
                    JSONObject([
                        ("name", .string(curve.name)),
                        ("knee", curve.essential?.knee.map { .number($0.x) } ?? .null),
                        ("kneeResidual", curve.essential?.knee.map { .number($0.residual) } ?? .null),
                        ("withinTolerance", curve.essential?.withinTolerance.map { .number($0) } ?? .null),
                    ]))
            })
        return json
    }
}
