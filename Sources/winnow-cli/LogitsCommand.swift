import ArgumentParser
import WinnowCore
import WinnowGenerate
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowText

struct LogitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Log-probabilities at every position, for comparing engines.",
        discussion: """
            With --output, every logit goes to a safetensors file: `ids` I32 [tokens] and `logits` F32 \
            [tokens, vocabulary]. Otherwise the most likely tokens of each position are printed.

            Example:
              winnow logits --model smollm2-135m-q4_1 --activations exact \\
                --kv-type f32 --prompt "The sky is"
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "The text; taken as it stands.") var prompt: String?
    @Option(help: "A file that holds the text.") var file: String?
    @Option(help: "Most likely tokens to print for each position.") var top = 5
    @Option(name: .customLong("output"), help: "A safetensors file for all logits.") var destination: String?
    @Flag(help: "Replace an existing output.") var overwrite = false

    func run() async throws {
        guard top > 0 else { throw ValidationError("--top is at least 1") }
        let bytes = try TextInput.bytes(text: prompt, file: file, named: "--prompt")
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        try loaded.model.requireHead()
        let ids = loaded.tokenizer.encode(bytes: bytes, addBOS: loaded.tokenizer.addsBOS)
        guard !ids.isEmpty else { throw ModelError.emptyPrompt }
        let vocabulary = loaded.model.configuration.vocabularySize
        let context = loaded.model.configuration.contextLength
        guard ids.count <= context else {
            throw ModelError.promptTooLong(tokens: ids.count, context: context)
        }
        var configuration = running.runnerConfiguration(chunk: 512)
        configuration.logitRows = 16
        let runner = try ModelRunner(loaded.model, configuration)
        var plan = runner.memoryPlan(tokens: ids.count)
        if destination != nil { plan.add("all logits", bytes: ids.count * vocabulary * 4) }
        try running.admit(plan, output)
        let sequence = runner.makeSequence(capacity: ids.count)
        let progress = ProgressPrinter(output)

        var all: [Float] = []
        var positions: [JSONValue] = []
        if destination != nil { all.reserveCapacity(ids.count * vocabulary) }
        for start in stride(from: 0, to: ids.count, by: configuration.chunk) {
            let chunk = ids[start..<min(ids.count, start + configuration.chunk)]
            runner.begin()
            try chunk.withUnsafeBufferPointer { try runner.append($0, to: sequence) }
            try runner.run()
            for row in stride(from: 0, to: chunk.count, by: configuration.logitRows) {
                let rows = row..<min(chunk.count, row + configuration.logitRows)
                let logits = try runner.logits(rows: rows)
                if destination != nil {
                    all.append(contentsOf: logits)
                } else {
                    for index in rows.indices {
                        let first = (index - rows.lowerBound) * vocabulary
                        positions.append(best(logits[first..<first + vocabulary], at: start + index, loaded))
                    }
                }
            }
            progress.update("running", start + chunk.count, of: ids.count, "tokens")
        }
        if let destination {
            try SafetensorsFile.write(
                [
                    ("ids", Tensor(dtype: .i32, shape: [ids.count], bytes: StorageSlice(copying: ids))),
                    ("logits", Tensor(all, shape: [ids.count, vocabulary])),
                ], to: destination, overwrite: overwrite)
            output.note("\(ids.count) positions of \(vocabulary) logits in \(destination)")
        }
        if output.json {
            StandardOutput.write([
                "ids": .array(ids.map { .integer(Int64($0)) }), "positions": .array(positions),
                "activations": .string(running.activations.rawValue),
            ])
        } else if destination == nil {
            for (id, position) in zip(ids, positions) {
                let tops = (position["top"]?.array ?? []).map { entry in
                    let token = TokenID(entry["id"]?.integer ?? 0)
                    let probability = entry["logprob"]?.number ?? 0
                    return "\(loaded.tokenizer.piece(token)) \(Format.fixed(probability, 3))"
                }
                StandardOutput.write("\(loaded.tokenizer.piece(id))\t\(tops.joined(separator: "  "))\n")
            }
        }
    }

    private func best(
        _ logits: Slice<UnsafeBufferPointer<Float>>, at position: Int, _ loaded: LoadedModel
    ) -> JSONValue {
        let values = Array(logits)
        let total = values.withUnsafeBufferPointer { LogProbabilities.logSumExp($0) }
        let order = values.indices.sorted { (values[$0], $1) > (values[$1], $0) }.prefix(top)
        return [
            "top": .array(
                order.map { id in
                    ["id": .integer(Int64(id)), "logprob": .number(Double(values[id]) - total)]
                })
        ]
    }
}
