import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport
import WinnowWeights

/// The formats of `convert --format auto`: where they came from, how they are shown and kept.
struct FormatPlanning {
    let plan: FormatPlan
    let file: String
    /// Otherwise read from the file.
    let isMeasured: Bool
    let overwrite: Bool

    /// Measures candidates on this machine.
    struct Measuring {
        let target: ModelConversion.Target
        let maxWeightError: Double
        let running: RunOptions
        let output: OutputOptions

        func plan(for source: Checkpoint) throws -> FormatPlan {
            var chooser = FormatChooser(for: target)
            chooser.maxWeightError = maxWeightError
            let pool = try KernelPool(threads: running.threadCount)
            var weights = 0
            var largest = 0
            for (name, _) in FormatPlan.names(of: source) {
                let count = try source.matrix(name).count
                weights += count
                largest = max(largest, count)
            }
            let timer = CandidateTimer(
                workingSet: KernelBenchOptions.standardWorkingSet, modelWeights: weights,
                activations: running.activations)
            var memory = MemoryPlan()
            memory.add("the model as stored", bytes: source.fileBytes)
            memory.add(
                "copies of matrices that are timed", bytes: min(timer.bytes, timer.finalists * 4 * weights))
            // Float32 and all candidates of the largest matrix.
            memory.add("candidates of a matrix", bytes: 30 * largest)
            memory.add("the program", bytes: Machine.residentBytes)
            try running.admit(memory, output)
            let progress = ProgressPrinter(output)
            return try chooser.choose(
                source,
                conditions: .init(
                    maxWeightError: maxWeightError, instructionSet: InstructionSet.current.rawValue,
                    threads: running.threadCount, activations: running.activations), on: pool,
                measure: { candidates, _ in try timer.measure(candidates, on: pool) }
            ) { progress.update("measuring", $0, of: $1, "layer shapes") }
        }
    }

    /// Keeps what was measured.
    func save(_ output: OutputOptions) throws {
        guard isMeasured else { return }
        let target = try AtomicOutput(file, .file, overwrite: overwrite)
        try OutputFile.write(plan.json.text(indent: 2) + "\n", to: target.partialPath)
        try target.commit()
        output.note("The plan: \(file)")
    }

    func add(to answer: inout JSONObject) {
        answer["choices"] = .array(plan.choices.map(\.json))
        answer["measured"] = .bool(isMeasured)
    }

    /// A row for each candidate, the chosen one marked.
    var text: String {
        let conditions = plan.conditions
        var table = Table([
            .init("layers"), .init("candidate"), .figures("bytes"), .figures("time of a token"),
            .figures("error"),
            .init("choice"),
        ])
        for choice in plan.choices {
            let zeros = choice.zeros >= 0.01 ? ", \(Format.percent(choice.zeros, 0)) zeros" : ""
            let name =
                "\(choice.names.count) of \(choice.rows)x\(choice.columns), \(choice.source.name)\(zeros)"
            let order = choice.candidates.sorted { ($0.seconds ?? .infinity) < ($1.seconds ?? .infinity) }
            for (index, candidate) in order.enumerated() {
                let verdict =
                    switch candidate.refusal {
                    case nil: choice.reason
                    case .error: "changes the weights too much"
                    case .zeros: "would not keep pruned weights zero"
                    case .range: "cannot hold the weights"
                    case .slower: "–"
                    }
                table.add(
                    [
                        index == 0 ? name : "", candidate.format.name, Format.bytes(candidate.bytes),
                        candidate.seconds.map(Format.duration) ?? "–",
                        candidate.error.map { Format.percent($0, 2) } ?? "–", verdict,
                    ], highlighted: candidate.refusal == nil)
            }
        }
        table.caption =
            (isMeasured ? "measured here" : "from \(file)")
            + ": \(conditions.threads) threads, \(conditions.instructionSet), activations "
            + "\(conditions.activations.rawValue), errors up to \(Format.percent(conditions.maxWeightError))"
        return table.text
    }
}
