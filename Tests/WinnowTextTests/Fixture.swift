import Testing
import WinnowJSON

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Files beside the tests.
enum Fixture {
    static func bytes(_ name: String, file: String = #filePath) throws -> [UInt8] {
        let folder = file.split(separator: "/").dropLast(2).joined(separator: "/")
        return try bytes(at: "/\(folder)/Fixtures/\(name)")
    }

    static func bytes(at path: String) throws -> [UInt8] {
        let stream = try #require(fopen(path, "rb"))
        defer { fclose(stream) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { return result }
            result.append(contentsOf: buffer[..<count])
        }
    }

    static func json(_ name: String) throws -> JSONValue { try JSONValue(parsing: bytes(name)) }
}
