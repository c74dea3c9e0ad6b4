import Testing
import WinnowIO
import WinnowWeights

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Files of the clone, and folders for what a test writes.
enum Fixture {
    static let folder: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(2)
        return parts.joined(separator: "/") + "/Fixtures/tiny-llama"
    }()

    static func path(_ name: String) -> String { "\(folder)/\(name)" }

    static func bytes(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "rb"))
        defer { fclose(file) }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return result }
            result.append(contentsOf: chunk[..<count])
        }
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "wb"))
        defer { fclose(file) }
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }

    /// Calls `body` with an empty folder that is removed afterwards.
    static func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        var template = Array("/tmp/winnow-io-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        let path = String(cString: made)
        defer { remove(path) }
        return try body(path)
    }

    /// Calls `body` with a copy of a fixture's folder.
    static func withCopy<Result>(of name: String, _ body: (String) throws -> Result) throws -> Result {
        try withFolder { folder in
            for file in names(in: path(name)) { try write(bytes("\(path(name))/\(file)"), to: "\(folder)/\(file)") }
            return try body(folder)
        }
    }

    /// Writes a folder whose blocks keep about every second weight, in the source's own grid.
    static func writeMasked(_ source: String = "tied-q4_1.gguf", to path: String) throws {
        let checkpoint = try Checkpoint.open(self.path(source))
        try CheckpointWriter(path).write(checkpoint) { name in
            guard name.hasPrefix("model.layers."), case .matrix(let matrix) = try checkpoint.tensor(name) else {
                return try checkpoint.tensor(name)
            }
            return .matrix(try naivelyMasked(matrix) { row, column in (row * 7 + column * 5) % 11 < 5 })
        }
    }

    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func removeFile(_ path: String) { unlink(path) }

    private static func remove(_ path: String) {
        _ = chmod(path, 0o700)
        for name in names(in: path) {
            if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        }
        rmdir(path)
    }
}
