import WinnowJSON
import WinnowText

/// A folder that holds a tokenizer alone: `tokenizer.json` and `tokenizer_config.json`, as Hugging Face's
/// tools open it.
public enum TokenizerFolder {
    /// Writes the folder aside and gives it its name when it is whole.
    ///
    /// - Returns: bytes written.
    public static func write(_ definition: TokenizerDefinition, to path: String, overwrite: Bool) throws
        -> Int
    {
        let output = try AtomicOutput(path, .folder, overwrite: overwrite, mark: "tokenizer.json")
        var bytes = 0
        for (name, json) in [
            ("tokenizer.json", definition.tokenizerJSON()),
            ("tokenizer_config.json", definition.tokenizerConfiguration()),
        ] {
            let file = try OutputFile("\(output.partialPath)/\(name)")
            try file.append(Array(json.text().utf8))
            bytes += file.byteCount
            try file.finish()
        }
        try output.commit()
        return bytes
    }

    /// Reads the tokenizer of a folder.
    public static func read(_ path: String) throws -> TokenizerDefinition {
        let json = try JSONFile.object("\(path)/tokenizer.json")
        let configuration =
            FilePath.exists("\(path)/tokenizer_config.json")
            ? try JSONFile.object("\(path)/tokenizer_config.json") : nil
        return try TokenizerDefinition(
            tokenizerJSON: .object(json), configuration: configuration.map { .object($0) })
    }
}
