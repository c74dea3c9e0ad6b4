import WinnowCore
import WinnowWeights

/// The tensors of one matrix that another tool packed, by the last part of their names.
struct ForeignParts {
    /// `model.layers.0.mlp.up_proj`.
    let module: String
    private(set) var tensors: [String: (tensor: Tensor, file: String)] = [:]

    init(_ module: String) { self.module = module }

    /// What errors call the matrix.
    var name: String { module + ".weight" }
    var file: String { tensors.values.map(\.file).min() ?? module }
    var byteCount: Int { tensors.values.reduce(0) { $0 + $1.tensor.bytes.byteCount } }

    mutating func add(_ part: String, _ tensor: Tensor, file: String) throws(CheckpointError) {
        guard tensors.updateValue((tensor, file), forKey: part) == nil else {
            throw .duplicateTensor(file: file, tensor: "\(module).\(part)")
        }
    }

    func has(_ part: String) -> Bool { tensors[part] != nil }

    /// - Parameter types: what the part may be made of.
    /// - Parameter rank: the dimensions it has; nil for any.
    /// - Parameter mayBeEmpty: a sparse matrix may keep nothing.
    func tensor(
        _ part: String, _ types: [DType], rank: Int? = nil, mayBeEmpty: Bool = false
    ) throws(CheckpointError) -> Tensor {
        guard let (tensor, file) = tensors[part] else {
            throw .missingTensor(file: self.file, tensor: "\(module).\(part)")
        }
        guard types.contains(tensor.dtype) else {
            throw .badPart(
                file: file, tensor: "\(module).\(part)",
                reason:
                    "is \(tensor.dtype.rawValue); expected \(types.map(\.rawValue).joined(separator: " or "))"
            )
        }
        guard rank == nil || tensor.shape.count == rank,
            tensor.shape.allSatisfy({ (mayBeEmpty || $0 > 0) && $0 <= 1 << 31 })
        else {
            throw .badPart(
                file: file, tensor: "\(module).\(part)",
                reason:
                    "has the shape \(tensor.shape); expected \(rank.map { "\($0)" } ?? "any") dimensions above zero"
            )
        }
        return tensor
    }

    func wrong(_ part: String, _ reason: String) -> CheckpointError {
        .badPart(file: tensors[part]?.file ?? file, tensor: "\(module).\(part)", reason: reason)
    }

    func expect(_ part: String, _ tensor: Tensor, shape: [Int]) throws(CheckpointError) {
        guard tensor.shape == shape else {
            throw wrong(part, "has the shape \(tensor.shape); expected \(shape)")
        }
    }

    /// A tensor's whole numbers, of any width.
    func integers(_ part: String, count: Int) throws(CheckpointError) -> [Int] {
        let tensor = try tensor(part, [.i64, .i32, .i16, .i8, .u8])
        guard tensor.count == count else {
            throw wrong(part, "has \(tensor.count) numbers; expected \(count)")
        }
        let bytes = tensor.bytes.bytes
        return (0..<count).map { index in
            let at = index * tensor.dtype.byteCount
            switch tensor.dtype {
            case .i64: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int64.self))
            case .i32: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int32.self))
            case .i16: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int16.self))
            case .i8: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int8.self))
            default: return Int(bytes[at])
            }
        }
    }

    /// The rows and columns that a part of two numbers gives.
    func shape(_ part: String) throws(CheckpointError) -> (rows: Int, columns: Int) {
        let sizes = try integers(part, count: 2)
        guard sizes[0] > 0, sizes[0] <= 1 << 31, sizes[1] > 0, sizes[1] <= 1 << 24 else {
            throw wrong(part, "is the impossible shape \(sizes)")
        }
        return (sizes[0], sizes[1])
    }

    /// The group of each column; nil where there is none, or where they are in order.
    func groupOrder(_ part: String, columns: Int, groups: Int, width: Int) throws(CheckpointError)
        -> [UInt32]?
    {
        guard has(part) else { return nil }
        let order = try integers(part, count: columns)
        // Some writers fill the array with -1 where there is no order.
        if order.contains(-1) { return nil }
        if let column = order.firstIndex(where: { $0 < 0 || $0 >= groups }) {
            throw wrong(part, "puts column \(column) into group \(order[column]) of \(groups)")
        }
        return order.indices.allSatisfy { order[$0] == $0 / width } ? nil : order.map { UInt32($0) }
    }

    /// Columns of a group, such that so many groups make a row.
    func width(_ part: String, columns: Int, groups: Int, wanted: Int?) throws(CheckpointError) -> Int {
        if groups == 1 { return columns }
        if let wanted, wanted > 0, (columns + wanted - 1) / wanted == groups { return wanted }
        guard columns % groups == 0 else {
            throw wrong(part, "has \(groups) groups, which \(columns) columns do not divide into")
        }
        return columns / groups
    }
}

extension Tensor {
    /// The format of plain numbers of this type.
    var floatFormat: WeightFormat { dtype == .f16 ? .f16 : dtype == .bf16 ? .bf16 : .f32 }
}
