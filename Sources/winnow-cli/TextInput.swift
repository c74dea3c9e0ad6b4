import ArgumentParser
import Glibc
import WinnowCore

/// Text that a verb was given as an option, as a file, or on standard input.
enum TextInput {
    /// - Throws: `ValidationError` unless exactly one of the two is given; ``FileError`` for an unreadable file.
    static func bytes(text: String?, file: String?, named name: String = "--text") throws -> [UInt8] {
        switch (text, file) {
        case ("-", nil), (nil, "-"): return try contents(of: nil)
        case (let text?, nil): return Array(text.utf8)
        case (nil, let file?): return try contents(of: file)
        default: throw ValidationError("give one of \(name) and a file")
        }
    }

    /// The bytes of a file, or of standard input.
    static func contents(of path: String?) throws -> [UInt8] {
        let descriptor = path.map { open($0, O_RDONLY | O_CLOEXEC) } ?? STDIN_FILENO
        let name = path ?? "standard input"
        guard descriptor >= 0 else { throw FileError(name, operation: "open", code: errno) }
        defer { if path != nil { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count > 0 {
                bytes.append(contentsOf: chunk[..<count])
            } else if count == 0 {
                return bytes
            } else if errno != EINTR {
                throw FileError(name, operation: "read", code: errno)
            }
        }
    }
}
