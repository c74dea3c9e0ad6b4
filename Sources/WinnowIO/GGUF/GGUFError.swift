/// Why a file is not a GGUF file that can be run: what, where, and what to do.
public enum GGUFError: Error, Equatable, Sendable, CustomStringConvertible {
    case notGGUF(file: String)
    case bigEndian(file: String)
    case unsupportedVersion(file: String, version: UInt32)
    case truncated(file: String, reading: String, offset: Int)
    case impossibleCount(file: String, of: String, count: UInt64)
    case invalidText(file: String, reading: String, offset: Int)
    case unknownValueType(file: String, key: String, type: UInt32)
    case nestedTooDeep(file: String, key: String)
    case duplicateKey(file: String, key: String)
    case missingKey(file: String, key: String, expected: String)
    case wrongValue(file: String, key: String, found: String, expected: String)
    case badAlignment(file: String, alignment: UInt64)
    case unsupported(file: String, feature: String, advice: String)
    case unsupportedArchitecture(file: String, name: String, supported: [String])
    case duplicateTensor(file: String, tensor: String)
    case badShape(file: String, tensor: String, dimensions: [UInt64])
    case unevenRows(file: String, tensor: String, type: String, columns: UInt64)
    case unknownTensorType(file: String, tensor: String, type: String)
    case misaligned(file: String, tensor: String, offset: UInt64, alignment: Int)
    case outOfRange(file: String, tensor: String, offset: UInt64, bytes: UInt64, available: UInt64)
    case overlap(file: String, tensor: String, other: String)
    case missingParts(file: String, parts: [String])
    case wrongPartName(file: String, part: Int, of: Int, ending: String)
    case foreignPart(file: String, key: String, found: String, expected: String)
    case wrongTensorCount(file: String, tensors: Int, expected: Int)

    public var description: String {
        switch self {
        case .notGGUF(let file): "\(file): not a GGUF file (it does not begin with 'GGUF')"
        case .bigEndian(let file):
            "\(file): a big-endian GGUF file; convert it with gguf_convert_endian.py from the gguf package"
        case .unsupportedVersion(let file, let version):
            "\(file): GGUF version \(version) is not supported; versions 2 and 3 are: convert the model again"
        case .truncated(let file, let reading, let offset):
            "\(file): ends at byte \(offset) in \(reading); is the download complete?"
        case .impossibleCount(let file, let of, let count):
            "\(file): claims \(count) \(of), more than the file has room for; is it damaged?"
        case .invalidText(let file, let reading, let offset):
            "\(file): text that is not UTF-8 at byte \(offset) in \(reading); is it damaged?"
        case .unknownValueType(let file, let key, let type):
            "\(file): metadata '\(key)' has the unknown type \(type); is the file damaged?"
        case .nestedTooDeep(let file, let key): "\(file): metadata '\(key)' nests arrays too deep"
        case .duplicateKey(let file, let key): "\(file): metadata '\(key)' comes twice"
        case .missingKey(let file, let key, let expected):
            "\(file): metadata '\(key)' is missing; expected \(expected)"
        case .wrongValue(let file, let key, let found, let expected):
            "\(file): metadata '\(key)' is \(found); expected \(expected)"
        case .badAlignment(let file, let alignment):
            "\(file): general.alignment is \(alignment); expected a power of two from 8 to 65536"
        case .unsupported(let file, let feature, let advice): "\(file): \(feature) is not supported; \(advice)"
        case .unsupportedArchitecture(let file, let name, let supported):
            "\(file): architecture '\(name)' is not supported; supported: \(supported.joined(separator: ", "))"
        case .duplicateTensor(let file, let tensor): "\(file): tensor \(tensor) comes twice"
        case .badShape(let file, let tensor, let dimensions):
            "\(file): tensor \(tensor) has the impossible dimensions \(dimensions)"
        case .unevenRows(let file, let tensor, let type, let columns):
            "\(file): tensor \(tensor) has rows of \(columns), which \(type) cannot divide into blocks"
        case .unknownTensorType(let file, let tensor, let type):
            "\(file): tensor \(tensor) has type \(type); supported: "
                + "\(GGMLType.supported.map(\.name).joined(separator: ", ")): quantize the model to one of these"
        case .misaligned(let file, let tensor, let offset, let alignment):
            "\(file): tensor \(tensor) begins at \(offset), not a multiple of \(alignment)"
        case .outOfRange(let file, let tensor, let offset, let bytes, let available):
            "\(file): tensor \(tensor) takes \(bytes) bytes at \(offset) of \(available); is the download complete?"
        case .overlap(let file, let tensor, let other): "\(file): tensors \(tensor) and \(other) overlap"
        case .missingParts(let file, let parts):
            "\(file): \(parts.prefix(3).joined(separator: ", "))\(parts.count > 3 ? " and \(parts.count - 3) more" : "") "
                + "\(parts.count == 1 ? "is" : "are") missing beside it; is the download complete?"
        case .wrongPartName(let file, let part, let of, let ending):
            "\(file): is part \(part) of \(of), but its name does not end in \(ending); give all parts their names back"
        case .foreignPart(let file, let key, let found, let expected):
            "\(file): metadata '\(key)' is \(found), but the part it was opened with expects \(expected); "
                + "is it of another model?"
        case .wrongTensorCount(let file, let tensors, let expected):
            "\(file): the parts hold \(tensors) tensors, but should hold \(expected); are they all of one model?"
        }
    }
}
