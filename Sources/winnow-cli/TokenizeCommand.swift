import ArgumentParser
import WinnowIO
import WinnowJSON
import WinnowText

struct TokenizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Text to token ids and pieces.",
        discussion: """
            Example:
              winnow tokenize --model smollm2-135m-q4_1 --text "Hello, world"
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "The text; - reads standard input.") var text: String?
    @Option(help: "A file that holds the text.") var file: String?
    @Flag(help: "Add the beginning-of-sequence token where the model uses one.") var bos = false

    func run() async throws {
        let bytes = try TextInput.bytes(text: text, file: file)
        let tokenizer = try await model.openTokenizer(output)
        let ids = tokenizer.encode(bytes: bytes, addBOS: bos && tokenizer.addsBOS)
        if output.json {
            StandardOutput.write([
                "ids": .array(ids.map { .integer(Int64($0)) }),
                "pieces": .array(ids.map { .string(tokenizer.piece($0)) }),
            ])
        } else {
            for id in ids { StandardOutput.write("\(id)\t\(tokenizer.piece(id))\n") }
        }
    }
}

struct DetokenizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detokenize",
        abstract: "Token ids to text.",
        discussion: """
            Example:
              winnow detokenize --model smollm2-135m-q4_1 19556 28 905
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "Token ids.") var ids: [Int32]

    func run() async throws {
        let tokenizer = try await model.openTokenizer(output)
        if let bad = ids.first(where: { $0 < 0 || Int($0) >= tokenizer.vocabularySize }) {
            throw CommandError("token id \(bad) is outside the vocabulary of \(tokenizer.vocabularySize)")
        }
        let text = tokenizer.decode(ids)
        if output.json { StandardOutput.write(["text": .string(text)]) } else { StandardOutput.write(text + "\n") }
    }
}
