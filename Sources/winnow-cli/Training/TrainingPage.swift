import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport
import WinnowTrain

/// The page of a run: its curves, and what they were measured under.
struct TrainingPage {
    let run: TrainingRun
    let text: String
    let ending: TrainingRun.Ending
    let model: String

    /// `report.html` and `report.json` of the run's folder.
    func write(to folder: String) throws {
        for (name, content) in [("report.html", page.html), ("report.json", page.json)] {
            let output = try AtomicOutput("\(folder)/\(name)", .file, overwrite: true)
            try OutputFile.write(content, to: output.partialPath)
            try output.commit()
        }
    }

    var page: Page {
        let records = run.records
        let learned = records.map { LineChart.Point(Double($0.step), $0.loss) }
        let measured = records.compactMap { record in
            record.evaluationLoss.map { LineChart.Point(Double(record.step), $0) }
        }
        var charts: [any PageElement] = [
            LineChart(
                "Loss", x: "step", y: "nats a token",
                lines: [.init("training", learned)]
                    + (measured.isEmpty ? [] : [.init("validation", measured, isBase: true)]),
                note: "Mean negative log-likelihood. Training losses are of each step's own batch."),
            LineChart(
                "Learning rate", x: "step", y: "rate",
                lines: [.init("rate", records.map { .init(Double($0.step), $0.rate) })]),
            LineChart(
                "Length of the gradient", x: "step", y: "before clipping",
                lines: [.init("gradient", records.map { .init(Double($0.step), $0.gradientNorm) })]),
        ]
        if records.contains(where: { $0.sparsity != nil }) {
            charts.append(
                LineChart(
                    "Sparsity", x: "step", y: "share of zeros",
                    lines: [.init("zeros", records.map { .init(Double($0.step), $0.sparsity ?? 0) })],
                    note: "Of the blocks' linears; embeddings, head and norms are not pruned."))
        }
        var sections: [Page.Section] = [.init(nil, isGrid: true, charts)]
        if let observed = statisticsCharts {
            sections.append(.init("Parameters and blocks", isGrid: true, observed))
        }
        return Page(
            "Winnow training: \(model)", lead: lead, sections: sections,
            conditions: conditions, data: json)
    }

    /// Curves by kind of parameter (the mean over blocks), and of the first, middle and last block's states.
    private var statisticsCharts: [any PageElement]? {
        let observed = run.records.compactMap { record in record.statistics.map { (Double(record.step), $0) }
        }
        guard let first = observed.first?.1 else { return nil }
        func kind(_ name: String) -> String {
            name.split(separator: ".").last { $0 != "weight" && $0 != "bias" }.map(String.init) ?? name
        }
        var kinds: [String] = []
        for parameter in first.parameters where !kinds.contains(kind(parameter.name)) {
            kinds.append(kind(parameter.name))
        }
        func lines(_ value: (StepStatistics.Parameter) -> Double) -> [LineChart.Line] {
            kinds.map { name in
                LineChart.Line(
                    name,
                    observed.map { step, statistics in
                        let own = statistics.parameters.filter { kind($0.name) == name }.map(value)
                        return .init(step, own.reduce(0, +) / Double(max(own.count, 1)))
                    })
            }
        }
        let last = first.blocks.count - 1
        let shown = Set([0, last / 2, last]).sorted()
        return [
            LineChart(
                "Change over weights", x: "step", y: "ratio of lengths", lines: lines(\.updateRatio),
                note: "Of a step, the mean over blocks."),
            LineChart(
                "Gradients", x: "step", y: "length", lines: lines(\.gradientNorm), note: "Mean over blocks."),
            LineChart(
                "Hidden states", x: "step", y: "root mean square",
                lines: shown.map { block in
                    LineChart.Line(
                        "block \(block)", observed.map { .init($0, $1.blocks[block].rootMeanSquare) })
                }),
            LineChart(
                "Largest hidden state", x: "step", y: "absolute value",
                lines: shown.map { block in
                    LineChart.Line("block \(block)", observed.map { .init($0, $1.blocks[block].largest) })
                }),
        ]
    }

    private var lead: String {
        guard let last = run.records.last else { return "No step was done." }
        var text =
            "After \(Format.count(last.step)) steps and \(Format.count(last.tokens)) tokens the loss was "
        text += "\(Format.fixed(last.loss, 3)) nats a token"
        if let best = run.best {
            text +=
                "; on text that was not learned \(Format.fixed(best.loss, 3)) at best, at step \(Format.count(best.step))"
        }
        return text + "."
    }

    private var conditions: [(name: String, value: String)] {
        let configuration = run.trainer.configuration
        return [
            ("Text", text),
            ("Weights", Format.count(run.trainer.parameters.reduce(0) { $0 + $1.count })),
            (
                "A step",
                "\(configuration.batch) sequences of \(configuration.length) tokens, \(configuration.accumulate) times"
            ),
            ("Optimizer", configuration.optimizer.kind.rawValue), ("Seed", "\(configuration.seed)"),
            ("Ended by", ending.rawValue), ("Winnow", WinnowVersion.current),
            ("Instruction set", InstructionSet.current.rawValue),
        ]
    }

    private var json: JSONValue {
        let settings = run.trainer.configuration.json
        return [
            "settings": .object(settings), "ending": .string(ending.rawValue), "text": .string(text),
            "bestEvalLoss": run.best.map { .number($0.loss) } ?? .null,
            "steps": .array(run.records.map { .object($0.json) }),
        ]
    }
}
