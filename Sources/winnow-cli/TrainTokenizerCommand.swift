import ArgumentParser
import WinnowData
import WinnowIO
import WinnowJSON
import WinnowReport
import WinnowText

struct TrainTokenizerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-tokenizer",
        abstract: "Learn a byte-level BPE tokenizer from texts.",
        usage: "winnow train-tokenizer --text <file> ... --vocabulary-size <n> --output <folder> [<options>]",
        discussion: """
            A .jsonl file holds records as for training ("text", "prompt" and "completion", or "messages"), any \
            other file is one text. The folder holds tokenizer.json and tokenizer_config.json.

            Example:
              winnow train-tokenizer --text book.txt --vocabulary-size 8192 --output tokenizer
            """)

    @OptionGroup var output: OutputOptions
    @Option(help: "Text or JSONL files.", completion: .file()) var text: [String]
    @Option(help: "Tokens in all: special tokens, 256 bytes, and merges.") var vocabularySize: Int
    @Option(help: "Rarer pairs are not merged.") var minFrequency = 2
    @Option(help: "Special tokens, in the order of their ids (default: <|endoftext|>).")
    var specialToken: [String] = []
    @Option(help: ArgumentHelp("How text is cut into words: a name of GGUF files.", valueName: "name"))
    var preTokenizer = "gpt-2"
    @Option(name: .customLong("output"), help: "The folder to write.", completion: .directory)
    var destination: String
    @Flag(help: "Replace an existing output.") var overwrite = false

    func validate() throws { _ = try trainer() }

    func run() async throws {
        try AtomicOutput.check(destination, .folder, overwrite: overwrite, mark: "tokenizer.json")
        let start = ContinuousClock.now
        var trainer = try trainer()
        let progress = ProgressPrinter(output)
        for path in text {
            try TrainingTexts.forEach(in: path) { done, all in
                progress.update(.init("counting words", completed: done, total: all, unit: .bytes))
            } _: {
                trainer.add($0)
            }
        }
        let definition = try trainer.train { done, all in
            progress.update("merging", done, of: all, "tokens")
            return true
        }
        if definition.tokens.count < vocabularySize {
            output.note(
                "the text has only \(definition.tokens.count) tokens with pairs that occur \(minFrequency) times",
                level: .warning)
        }
        let bytes = try TokenizerFolder.write(definition, to: destination, overwrite: overwrite)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        if output.json {
            StandardOutput.write([
                "path": .string(destination), "bytes": .integer(Int64(bytes)),
                "vocabularySize": .integer(Int64(definition.tokens.count)),
                "merges": .integer(Int64(definition.merges.count)),
                "words": .integer(Int64(trainer.wordCount)),
                "textBytes": .integer(Int64(trainer.byteCount)), "seconds": .number(seconds),
            ])
        } else {
            StandardOutput.write(
                "\(destination): \(Format.count(definition.tokens.count)) tokens from "
                    + "\(Format.bytes(trainer.byteCount)) of text\n")
        }
    }

    private func trainer() throws -> BytePairTrainer {
        var configuration = BytePairTrainer.Configuration()
        configuration.vocabularySize = vocabularySize
        configuration.minimumFrequency = minFrequency
        if !specialToken.isEmpty { configuration.specialTokens = specialToken }
        do {
            configuration.preTokenizer = try PreTokenizer(ggufName: preTokenizer)
            return try BytePairTrainer(configuration)
        } catch { throw ValidationError("\(error)") }
    }
}
