import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder for what a test writes, gone when the test is.
public enum TemporaryFolder {
    public static func with<Result>(_ body: (String) throws -> Result) throws -> Result {
        var template = Array("/tmp/winnow-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw FileError("/tmp/winnow-test-XXXXXX", operation: "make", code: errno)
        }
        let path = String(cString: made)
        defer { remove(path) }
        return try body(path)
    }

    public static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "wb") else { throw FileError(path, operation: "write", code: errno) }
        defer { fclose(file) }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else {
            throw FileError(path, operation: "write", code: errno)
        }
    }

    private static func remove(_ path: String) {
        chmod(path, 0o700)
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != "..", unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
            }
            closedir(directory)
        }
        rmdir(path)
    }
}
