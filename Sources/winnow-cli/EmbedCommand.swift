import ArgumentParser
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowNumbers
import WinnowReport

struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Sentence vectors from an encoder.",
        discussion: """
            Pooling and normalization are those that the model's files name (modules.json); without any the mean of \
            a text's states, or an image's class token. A decoder needs --pooling. A text that is longer than the \
            model takes is an error, unless --truncate.

            Examples:
              winnow embed --model all-MiniLM-L6-v2 --text "A sentence" --text "Another" --json
              winnow embed --model all-MiniLM-L6-v2 --file lines.txt
              winnow embed --model vit --pixels images.safetensors
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "A text; more than once for more vectors.") var text: [String] = []
    @Option(help: "A file with a text on each line; - reads standard input.") var file: String?
    @Option(
        help: "A safetensors file of normalised images, each [channels, size, size], in order of their names."
    )
    var pixels: String?
    @Option(help: "Which states make the vector: cls, mean, max or last.") var pooling: SentencePooling.Mode?
    @Flag(help: "Cut longer texts at the model's length.") var truncate = false

    func run() async throws {
        guard [!text.isEmpty, file != nil, pixels != nil].count(where: { $0 }) == 1 else {
            throw ValidationError("give one of --text, --file and --pixels")
        }
        let loaded = try LoadedModel(opening: try await model.resolve(output))
        var own = loaded.checkpoint.pooling
        if let pooling {
            own = SentencePooling(
                mode: pooling, normalizes: own?.normalizes ?? false, maxTokens: own?.maxTokens)
        }
        let encoder = try SentenceEncoder(loaded, pooling: own, running.runnerConfiguration())
        let vectors = try pixels.map { try images($0, encoder) } ?? sentences(encoder)
        if output.json {
            StandardOutput.write([
                "activations": .string(running.activations.rawValue),
                "embeddings": .array(vectors.map { .array($0.map { .number(Double($0)) }) }),
            ])
        } else {
            for vector in vectors {
                StandardOutput.write(vector.map { Format.fixed(Double($0), 6) }.joined(separator: " ") + "\n")
            }
        }
    }

    private func sentences(_ encoder: SentenceEncoder) throws -> [[Float]] {
        var texts = text
        if let file {
            let bytes = try TextInput.contents(of: file == "-" ? nil : file)
            texts = String(decoding: bytes, as: UTF8.self).split(
                whereSeparator: \.isNewline
            ).map(String.init)
        }
        var ids: [[Int32]] = []
        for (index, text) in texts.enumerated() {
            do {
                ids.append(try encoder.tokens(text, truncate ? .truncate : .refuse))
            } catch ModelError.promptTooLong(let tokens, let context) {
                throw CommandError(
                    "text \(index + 1) has \(tokens) tokens, the model takes \(context): shorten it or pass --truncate"
                )
            }
        }
        try running.admit(try encoder.memoryPlan(longest: ids.map(\.count).max() ?? 0), output)
        let progress = ProgressPrinter(output)
        return try encoder.embed(ids) { progress.update("embedding", $0, of: ids.count, "texts") }
    }

    private func images(_ path: String, _ encoder: SentenceEncoder) throws -> [[Float]] {
        let file = try SafetensorsFile(path)
        return try file.names.sorted().map { name in
            guard let values = file[name]?.floats() else {
                throw CommandError("\(path): \(name) holds no floats")
            }
            return try encoder.embed(image: values)
        }
    }
}

extension SentencePooling.Mode: ExpressibleByArgument {}
