import WinnowIO
import WinnowText

extension LanguageModel {
    /// Writes a model that was made in memory as a folder, with a tokenizer of single bytes, so that it can be opened
    /// and generates: to measure files of a size that no download is worth.
    ///
    /// - Throws: `CheckpointError` when the folder is there, `FileError`.
    public func writeSynthetic(to folder: String) throws {
        var settings = BytePairTrainer.Configuration()
        settings.vocabularySize = 258  // The end, the bytes, and one merge, which readers ask for.
        var trainer = try BytePairTrainer(settings)
        trainer.add("the the")
        var values: [String: CheckpointTensor] = [:]
        var names: [String] = []
        visit { parameter in
            names.append(parameter.name)
            switch parameter.value {
            case .matrix(let matrix): values[parameter.name] = .matrix(matrix)
            case .vector(let vector): values[parameter.name] = .vector(vector)
            }
        }
        try CheckpointWriter(folder).write(
            configuration: configuration, tokenizer: try trainer.train(), names: names
        ) { values[$0]! }
    }
}
