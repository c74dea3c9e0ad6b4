import Glibc
import WinnowTestKit

/// The model in the fixtures: 2 blocks, 288 tokens, a context of 128.
enum TinyModel {
    static let fixtures: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/tiny-llama"
    }()

    static let folder = fixtures + "/tied"
    static let gguf = fixtures + "/tied-q4_1.gguf"
    /// Has a chat template.
    static let chat = fixtures + "/untied"
    /// A BERT of 160 positions.
    static let encoder = fixtures + "/../families/bert"

    /// Copies the chat model's files, with changes to its texts; a file that becomes nil is left out.
    static func copy(to folder: String, _ change: (String, String) -> String?) throws {
        for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            guard let text = change(name, String(decoding: contents("\(chat)/\(name)"), as: UTF8.self)) else {
                continue
            }
            try TemporaryFolder.write(Array(text.utf8), to: "\(folder)/\(name)")
        }
        try TemporaryFolder.write(contents("\(chat)/model.safetensors"), to: "\(folder)/model.safetensors")
    }

    /// All bytes of a small file; empty when there is none.
    static func contents(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "rb") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
    }
}
