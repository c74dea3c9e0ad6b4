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
        for run in averaged where !run.isGiven && run.method != "rival" {
            let varied: Set = ["sparsity", "pattern"]
            func last(_ key: String) -> String { String(key.split(separator: ".").last ?? "") }
            let rest = run.settings.pairs.filter { !varied.contains(last($0.key)) }
            let pattern = run.settings.pairs.first { last($0.key) == "pattern" }?.value.string
            // N:M patterns are points of one curve, each at its own sparsity; blocks have one for each size.
            let isPattern = pattern?.contains(":") ?? false
            let blocks = isPattern || pattern == "unstructured" ? nil : pattern
            let name =
                ([run.method] + rest.map { "\($0.key) \($0.value.string ?? $0.value.text())" }).joined(
                    separator: " ")
                + (isPattern ? " N:M" : blocks.map { " \($0)" } ?? "")
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

    /// Runs that differ in their seed alone, as one: the mean of their perplexities.
    private var averaged: [SweepRecord.Run] {
        var groups: [String] = []
        for run in record.runs where !groups.contains(run.group) { groups.append(run.group) }
        return groups.map { group in
            let runs = record.runs.filter { $0.group == group }
            var mean = runs[0]
            mean.name = group
            mean.perplexity = runs.reduce(0) { $0 + $1.perplexity } / Double(runs.count)
            return mean
        }
    }

    var table: Table {
        let hasSpeed = record.runs.contains { $0.decodeRatio != nil }
        var table = Table(
            [
                .init("run"), .figures("zeros"), .figures("bits/weight"), .figures("memory"),
                .figures("perplexity"),
                .figures("change"),
            ] + (hasSpeed ? [.figures("decode")] : []) + [.figures("rows emptied"), .figures("seconds")])
        for run in record.runs {
            var cells = [
                run.name, Format.percent(run.sparsity, 2), Format.fixed(run.bitsPerWeight, 2),
                Format.bytes(run.bytes),
                "\(Format.significant(run.perplexity, 4)) ± \(Format.significant(run.standardError, 2))",
                given.map { Format.change(from: $0.perplexity, to: run.perplexity) } ?? "",
            ]
            if hasSpeed { cells.append(run.decodeRatio.map { "\(Format.fixed($0, 2)) x" } ?? "") }
            cells += [Format.count(run.emptyRows), run.isGiven ? "" : Format.fixed(run.seconds, 1)]
            table.add(cells, highlighted: run.isGiven)
        }
        return table
    }

    /// Mean and spread of what was run with several seeds; nil where nothing was.
    var spread: Table? {
        var table = Table([
            .init("run"), .figures("seeds"), .figures("mean"), .figures("least"), .figures("most"),
        ])
        for mean in averaged {
            let runs = record.runs.filter { $0.group == mean.group }.map(\.perplexity)
            guard runs.count > 1, let least = runs.min(), let most = runs.max() else { continue }
            table.add(
                [mean.group, "\(runs.count)"]
                    + [mean.perplexity, least, most].map { Format.significant($0, 4) })
        }
        return table.rows.isEmpty ? nil : table
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
        let verdicts =
            [verdict(of: "memory") { Double($0.bytes) }]
            + (record.runs.contains { $0.decodeRatio != nil }
                ? [verdict(of: "decode speed") { 1 / ($0.decodeRatio ?? .nan) }] : [])
        let all = sentences + verdicts.compactMap { $0 }
        return all.isEmpty ? "\(record.runs.count - 1) runs." : all.joined(separator: " ")
    }

    /// How the sparse runs stand to the curve of those that are only quantized, at equal cost.
    private func verdict(of what: String, _ cost: (SweepRecord.Run) -> Double) -> String? {
        let (sparse, dense) = (averaged.filter(\.isPruned), averaged.filter { !$0.isPruned })
        guard !sparse.isEmpty, dense.count > 1 else { return nil }
        func point(_ run: SweepRecord.Run) -> QuantizedFrontier.Point {
            .init(cost: cost(run), perplexity: run.perplexity)
        }
        let frontier = QuantizedFrontier(dense.map(point))
        let ratios = sparse.compactMap { run in frontier.ratio(point(run)).map { (run.group, $0) } }
        let below = ratios.filter { $0.1 < 1 }.sorted { $0.1 < $1.1 }
        let beyond = sparse.count - ratios.count
        let rest =
            beyond > 0 ? " Of \(sparse.count), \(beyond) cost less than any that is only quantized." : ""
        if let best = below.first {
            return
                "At equal \(what) \(below.count) of \(sparse.count) sparse runs lie below the best that is only "
                + "quantized; the furthest is \(best.0), at \(Format.fixed(best.1, 2)) of its perplexity."
                + rest
        }
        guard let nearest = ratios.min(by: { $0.1 < $1.1 }) else {
            return rest.isEmpty ? nil : String(rest.dropFirst())
        }
        return
            "At equal \(what) no sparse run beats the best that is only quantized; the nearest is \(nearest.0), at "
            + "\(Format.fixed(nearest.1, 2)) times its perplexity." + rest
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
        func frontier(_ title: String, _ x: String, _ value: (SweepRecord.Run) -> Double) -> ScatterChart {
            ScatterChart(
                title, x: x, y: "perplexity",
                points: averaged.filter { value($0).isFinite }.map {
                    .init(
                        $0.name, x: value($0), y: $0.perplexity, error: $0.standardError, isBase: $0.isGiven)
                })
        }
        var charts: [any PageElement] = curves.isEmpty ? [] : [chart]
        if averaged.count <= 24 {
            charts.append(frontier("Bits and quality", "bits a prunable weight") { $0.bitsPerWeight })
            charts.append(frontier("Size and quality", "MiB in memory") { Double($0.bytes) / 1_048_576 })
            if record.runs.contains(where: { $0.decodeRatio != nil }) {
                charts.append(
                    frontier("Speed and quality", "time a token, over the model as given") {
                        $0.decodeRatio.map { 1 / $0 } ?? .nan
                    })
            }
        }
        var sections: [Page.Section] = [.init(nil, isGrid: true, charts), .init("Runs", [table])]
        if let spread { sections.append(.init("Seeds", [spread])) }
        let changed = averaged.filter { !$0.blockErrors.isEmpty }
        if !changed.isEmpty {
            let largest = changed.flatMap(\.blockErrors).max() ?? 0
            sections.append(
                .init(
                    "Where weights changed",
                    [
                        HeatChart(
                            "Distance from the weights as given", rows: changed.map(\.name),
                            values: changed.map(\.blockErrors),
                            note:
                                "A block a column: the length of the change over that of the weights, at most "
                                + Format.fixed(largest, 3) + ".")
                    ]))
        }
        let samples = averaged.compactMap { run in run.sample.map { Sample(run.name, text: $0) } }
        if !samples.isEmpty { sections.append(.init("What they write", isGrid: true, samples)) }
        return Page(
            "Winnow sweep: \(model)", lead: lead, sections: sections,
            conditions: record.conditions.pairs.filter { !$0.value.isNull && $0.value != .array([]) }.map {
                ($0.key, $0.value.string ?? $0.value.text())
            },
            data: .object(json))
    }

    private var json: JSONObject {
        var json = record.json
        json["verdict"] = .string(lead)
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
