import WinnowCore
import WinnowIO
import WinnowJSON

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// `log.jsonl`: a line a step, added as steps are done.
struct TrainingLogFile {
    private let path: String

    /// Opens a log and keeps the lines of steps up to `step`; a last line that was cut off is dropped.
    static func continuing(_ path: String, through step: Int) throws -> (TrainingLogFile, [StepRecord]) {
        var records: [StepRecord] = []
        if FilePath.kind(path) != nil {
            let file = try Storage.mapping(path)
            let bytes = UnsafeRawBufferPointer(start: file.base, count: file.byteCount)
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                guard let json = try? JSONValue(parsing: Array(line)), let record = StepRecord(json),
                    record.step <= step
                else { break }
                records.append(record)
            }
        }
        let output = try AtomicOutput(path, .file, overwrite: true)
        let text = records.map { JSONValue.object($0.json).text() + "\n" }.joined()
        try OutputFile.write(text, to: output.partialPath)
        try output.commit()
        return (TrainingLogFile(path: path), records)
    }

    func append(_ record: StepRecord) throws(FileError) {
        let bytes = Array((JSONValue.object(record.json).text() + "\n").utf8)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path, operation: "open", code: errno) }
        defer { close(descriptor) }
        guard writeAll(descriptor, bytes) else {
            throw FileError(path, operation: "write", code: errno)
        }
    }
}

/// The system's `write`, under a name that nothing shadows; a line is short enough to go at once.
private func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    write(descriptor, bytes, bytes.count) == bytes.count
}
