import WinnowCore
import WinnowJSON

/// Reads the small JSON files of a model folder.
enum JSONFile {
    /// More than any tokenizer.json has.
    static let limit = 256 << 20

    static func read(_ path: String) throws -> JSONValue {
        let storage = try Storage.mapping(path)
        guard storage.byteCount <= limit else {
            throw CheckpointError.tooLarge(file: path, bytes: storage.byteCount, limit: limit)
        }
        let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
        do {
            return try withExtendedLifetime(storage) {
                try JSONValue(parsing: bytes.assumingMemoryBound(to: UInt8.self))
            }
        } catch let error as JSONError {
            throw CheckpointError.badJSON(file: path, error: error)
        }
    }

    static func object(_ path: String) throws -> JSONObject {
        guard let object = try read(path).object else {
            throw CheckpointError.wrongField(file: path, field: "the text", found: "no object", expected: "an object")
        }
        return object
    }
}
