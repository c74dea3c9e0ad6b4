import WinnowJSON

/// Why a file is not a safetensors file: what, where, and what to do.
public enum SafetensorsError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooShort(file: String, bytes: Int)
    case headerTooLarge(file: String, bytes: UInt64, limit: UInt64)
    case headerPastEnd(file: String, bytes: UInt64, fileBytes: Int)
    case badHeader(file: String, error: JSONError)
    case headerNotObject(file: String)
    case duplicateKey(file: String, key: String)
    case badEntry(file: String, tensor: String, expected: String)
    case unknownType(file: String, tensor: String, type: String)
    case badShape(file: String, tensor: String)
    case wrongLength(file: String, tensor: String, bytes: UInt64, expected: UInt64)
    case outOfRange(file: String, tensor: String, end: UInt64, available: UInt64)
    case overlap(file: String, tensor: String, offset: UInt64)
    case hole(file: String, offset: UInt64)

    public var description: String {
        switch self {
        case .tooShort(let file, let bytes):
            "\(file): \(bytes) bytes are too few for a safetensors file; is the download complete?"
        case .headerTooLarge(let file, let bytes, let limit):
            "\(file): claims a header of \(bytes) bytes; \(limit) is the most: is this a safetensors file?"
        case .headerPastEnd(let file, let bytes, let fileBytes):
            "\(file): a header of \(bytes) bytes in a file of \(fileBytes); is the download complete?"
        case .badHeader(let file, let error): "\(file): the header is not JSON: \(error); is the file damaged?"
        case .headerNotObject(let file): "\(file): the header is not an object; is this a safetensors file?"
        case .duplicateKey(let file, let key): "\(file): '\(key)' comes twice in the header"
        case .badEntry(let file, let tensor, let expected):
            "\(file): the header's entry of \(tensor) is malformed; expected \(expected)"
        case .unknownType(let file, let tensor, let type):
            "\(file): tensor \(tensor) has the unsupported type '\(type)'; convert it to F32, F16 or BF16 first"
        case .badShape(let file, let tensor): "\(file): tensor \(tensor) has an impossible shape"
        case .wrongLength(let file, let tensor, let bytes, let expected):
            "\(file): tensor \(tensor) takes \(bytes) bytes, but its shape takes \(expected); is it damaged?"
        case .outOfRange(let file, let tensor, let end, let available):
            "\(file): tensor \(tensor) ends at byte \(end) of \(available); is the download complete?"
        case .overlap(let file, let tensor, let offset):
            "\(file): tensor \(tensor) overlaps another at byte \(offset); is the file damaged?"
        case .hole(let file, let offset):
            "\(file): bytes after \(offset) belong to no tensor; is the file damaged?"
        }
    }
}
