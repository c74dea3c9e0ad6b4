import WinnowJSON
import WinnowNumbers
import WinnowWeights

/// Why a model cannot be opened or written: what, where, and what to do.
public enum CheckpointError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAModel(path: String, reason: String)
    case pickle(folder: String, file: String)
    case foreignFile(path: String, kind: String, advice: String)
    case missingFile(folder: String, file: String)
    case missingShards(folder: String, files: [String])
    case badShardName(file: String, shard: String)
    case tooLarge(file: String, bytes: Int, limit: Int)
    case badJSON(file: String, error: JSONError)
    case missingField(file: String, field: String, expected: String)
    case wrongField(file: String, field: String, found: String, expected: String)
    case unsupported(file: String, feature: String, advice: String)
    case unsupportedArchitecture(file: String, name: String, supported: [String])
    case badTokenizer(file: String, reason: String)
    case missingTensor(file: String, tensor: String)
    case unexpectedTensor(file: String, tensor: String)
    case duplicateTensor(file: String, tensor: String)
    case wrongShape(file: String, tensor: String, shape: [Int], expected: [Int])
    case unsupportedType(file: String, tensor: String, type: String)
    case unknownFormat(file: String, tensor: String, format: String)
    case badWeights(file: String, error: WeightError)
    case badPart(file: String, tensor: String, reason: String)
    case noSuchTensor(path: String, tensor: String)
    case notAMatrix(path: String, tensor: String)
    case notAVector(path: String, tensor: String)
    case badOutput(path: String, reason: String)
    case outputExists(path: String)
    case notReplaceable(path: String)
    case outputBusy(path: String)
    case outputDiscarded(path: String)
    case notWritable(tensor: String, format: String, into: String)

    public var description: String {
        switch self {
        case .notAModel(let path, let reason):
            "\(path): \(reason); give a folder in Hugging Face layout or a .gguf file"
        case .pickle(let folder, let file):
            "\(folder): the weights are a Python pickle (\(file)), which can run code when read; convert them "
                + "first: python -c \"from transformers import AutoModelForCausalLM as M; "
                + "M.from_pretrained('\(folder)').save_pretrained('\(folder)', safe_serialization=True)\""
        case .foreignFile(let path, let kind, let advice): "\(path): \(kind); \(advice)"
        case .missingFile(let folder, let file): "\(folder): \(file) is missing; is the download complete?"
        case .missingShards(let folder, let files):
            "\(folder): \(files.joined(separator: ", ")) named by the index \(files.count == 1 ? "is" : "are") "
                + "missing; is the download complete?"
        case .badShardName(let file, let shard):
            "\(file): weight_map names '\(shard)'; a shard is a file in the same folder"
        case .tooLarge(let file, let bytes, let limit):
            "\(file): \(Format.bytes(bytes)), more than the \(Format.bytes(limit)) that such a file may have"
        case .badJSON(let file, let error): "\(file): \(error); is the file damaged?"
        case .missingField(let file, let field, let expected):
            "\(file): '\(field)' is missing; expected \(expected)"
        case .wrongField(let file, let field, let found, let expected):
            "\(file): '\(field)' is \(found); expected \(expected)"
        case .unsupported(let file, let feature, let advice):
            "\(file): \(feature) is not supported; \(advice)"
        case .unsupportedArchitecture(let file, let name, let supported):
            "\(file): architecture '\(name)' is not supported; supported: \(supported.joined(separator: ", "))"
        case .badTokenizer(let file, let reason): "\(file): \(reason)"
        case .missingTensor(let file, let tensor):
            "\(file): tensor \(tensor) is missing; is the file complete, and does its configuration belong to it?"
        case .unexpectedTensor(let file, let tensor):
            "\(file): tensor \(tensor) has no place in a model of its architecture; this variant is not supported"
        case .duplicateTensor(let file, let tensor): "\(file): tensor \(tensor) comes twice"
        case .wrongShape(let file, let tensor, let shape, let expected):
            "\(file): tensor \(tensor) is \(shape), but the configuration asks for \(expected)"
        case .unsupportedType(let file, let tensor, let type):
            "\(file): tensor \(tensor) has type \(type); F32, F16 and BF16 can be run: convert it first"
        case .unknownFormat(let file, let tensor, let format):
            "\(file): tensor \(tensor) has the unknown format '\(format)'; was it made by a newer Winnow?"
        case .badWeights(let file, let error): "\(file): \(error)"
        case .badPart(let file, let tensor, let reason): "\(file): tensor \(tensor) \(reason)"
        case .noSuchTensor(let path, let tensor): "\(path) has no tensor \(tensor)"
        case .notAMatrix(let path, let tensor): "\(path): tensor \(tensor) is not a matrix"
        case .notAVector(let path, let tensor): "\(path): tensor \(tensor) is not a plain vector"
        case .badOutput(let path, let reason): "cannot write \(path): \(reason)"
        case .outputExists(let path): "\(path) exists; choose another name or pass --overwrite"
        case .notReplaceable(let path):
            "\(path) is a folder that Winnow did not write, so --overwrite leaves it alone; choose another name"
        case .outputBusy(let path): "\(path) is being written already"
        case .outputDiscarded(let path): "\(path) was not written: the process is ending"
        case .notWritable(let tensor, let format, let into):
            "tensor \(tensor) is \(format), which \(into) cannot hold; convert it to a dense format first"
        }
    }
}
