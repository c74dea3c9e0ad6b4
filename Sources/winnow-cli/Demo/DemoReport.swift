import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport

/// What the demo found, as a page and as JSON.
struct DemoReport {
    let demo: Demo
    let outcome: Demo.Outcome
    let model: String
    let checkpoint: Checkpoint
    let seconds: Double

    private var scored: (windows: Int, window: Int, tokens: Int) {
        (outcome.scored.windows, outcome.scored.window, outcome.scored.scoredTokens)
    }

    /// What must be known to read the table: how much text, that nothing was trained, and whether speeds held still.
    var remarks: String {
        var text =
            "Perplexity of \(Format.count(scored.tokens)) tokens (\(windows(scored.windows)) of \(scored.window), second "
            + "halves) of \(demo.scoring.name); Wanda calibrated on \(windows(outcome.calibrationWindows)) of "
            + "\(demo.calibration.name). No version was retrained."
        if outcome.speedSpread > DemoReport.steadySpread {
            text +=
                " Speeds of one version differed by up to \(Format.significant(outcome.speedSpread, 2)) times "
                + "between rounds: the machine was busy, measure again when it is not."
        }
        return text
    }

    /// What rounds on an idle machine stay under.
    private static let steadySpread = 1.5

    private func windows(_ count: Int) -> String { count == 1 ? "1 window" : "\(count) windows" }

    var page: Page {
        var table = outcome.comparison.table
        table.caption =
            remarks + " Sparsity and bits are those of the blocks' linears; embeddings stay as they are."
        var charts = outcome.comparison.charts
        if !outcome.layers.isEmpty {
            charts.append(
                HeatChart(
                    "Where the zeros are: \(outcome.layersOf)", layers: outcome.layers,
                    note: "Share of zeros in each matrix: what the mask drops, and what rounds to zero."))
        }
        return Page(
            "Winnow demo: \(name)", lead: outcome.comparison.verdict,
            sections: [
                .init(nil, [table]), .init("Size, quality, speed", isGrid: true, charts),
                .init(
                    "What each writes", [Paragraph("Asked: \(demo.prompt) The most likely token each time.")]),
                .init(nil, isGrid: true, outcome.comparison.samples),
            ],
            conditions: conditions, data: json)
    }

    private var name: String { model.split(separator: "/").last.map(String.init) ?? model }

    private var conditions: [(name: String, value: String)] {
        let machine = Machine.current
        return [
            (
                "model",
                "\(model), \(checkpoint.configuration.architecture), \(Format.bytes(checkpoint.fileBytes))"
            ),
            ("processor", machine.cpuModel ?? "unknown"),
            (
                "threads",
                "\(demo.running.threads) of \(machine.allowedThreads) hardware threads, \(machine.physicalCores) cores"
            ),
            ("instruction set", InstructionSet.current.rawValue),
            ("activations", demo.running.activations.rawValue),
            ("keys and values", demo.running.kvType.rawValue),
            (
                "scoring text",
                "\(demo.scoring.name): \(Format.count(outcome.scored.tokens)) tokens, the first "
                    + "\(windows(scored.windows)) of \(scored.window), \(Format.count(scored.tokens)) tokens scored"
            ),
            (
                "calibration text",
                "\(demo.calibration.name): \(windows(outcome.calibrationWindows)) of \(scored.window) tokens, seed "
                    + "\(demo.seed)"
            ),
            (
                "speeds",
                "median of \(demo.speed.repeats) rounds in turns; prefill of \(demo.speed.promptTokens) tokens, decode "
                    + "of \(demo.speed.generateTokens)"
            ),
            ("peak memory", Format.bytes(Machine.peakMemoryBytes)), ("time", Format.duration(seconds)),
            ("version", "Winnow \(WinnowVersion.current)"), ("date", Machine.date),
        ]
    }

    private var json: JSONValue {
        [
            "model": .string(model), "path": .string(checkpoint.path),
            "rows": .array(outcome.comparison.rows.map(\.json)),
            "verdict": .string(outcome.comparison.verdict),
            "prompt": .string(demo.prompt),
            "text": [
                "scoring": [
                    "name": .string(demo.scoring.name), "sha256": .string(demo.scoring.sha256),
                    "tokens": .integer(Int64(outcome.scored.tokens)),
                    "scoredTokens": .integer(Int64(scored.tokens)),
                    "windows": .integer(Int64(scored.windows)),
                    "window": .integer(Int64(scored.window)), "score": .string(outcome.scored.score.rawValue),
                    "bos": .bool(outcome.scored.bos),
                ],
                "calibration": [
                    "name": .string(demo.calibration.name), "sha256": .string(demo.calibration.sha256),
                    "windows": .integer(Int64(outcome.calibrationWindows)),
                    "window": .integer(Int64(scored.window)),
                ],
            ],
            "conditions": .object(JSONObject(conditions.map { ($0.name, .string($0.value)) })),
            "seconds": .number(seconds), "speedSpread": .number(outcome.speedSpread),
        ]
    }
}
