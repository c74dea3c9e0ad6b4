import CWinnow
import WinnowCore
import WinnowWeights

/// How the state of a parameter lies in memory.
public enum StateLayout: String, Sendable, Codable, CaseIterable {
    /// A number for each weight, pruned ones too.
    case dense
    /// Numbers for kept weights only, in the order of the mask.
    case compressed
}

/// What an optimizer remembers of one parameter: vectors under names, and how many steps it took.
public final class OptimizerState {
    public let layout: StateLayout
    public let rows: Int
    public let columns: Int
    /// Steps taken.
    public internal(set) var steps = 0
    public private(set) var mask: SparsityMask?
    private(set) var names: [String]
    private(set) var vectors: [StateVector]
    /// Where the packed state of each row begins, and the end of the last; empty when dense.
    private(set) var rowStarts: [Int] = []

    /// - Parameter mask: needed for compressed state, where it says what is stored.
    init(rows: Int, columns: Int, layout: StateLayout, mask: SparsityMask?, moments: Int) {
        precondition(layout == .dense || mask != nil, "compressed state needs a mask")
        self.layout = layout
        self.rows = rows
        self.columns = columns
        if layout == .compressed { self.mask = mask }
        rowStarts = layout == .compressed ? Self.starts(mask!) : []
        let count = rowStarts.last ?? rows * columns
        names = Array(["first", "second"].prefix(moments))
        vectors = names.map { _ in StateVector(count: count) }
    }

    /// State that is not one number a weight: Adafactor's and SM3's.
    init(rows: Int, columns: Int, vectors: [(name: String, count: Int)]) {
        layout = .dense
        self.rows = rows
        self.columns = columns
        names = vectors.map(\.name)
        self.vectors = vectors.map { StateVector(count: $0.count) }
    }

    private static func starts(_ mask: SparsityMask) -> [Int] {
        var starts = [0]
        for row in 0..<mask.rows { starts.append(starts[row] + mask.keptCount(row: row)) }
        return starts
    }

    public var byteCount: Int { vectors.reduce(0) { $0 + $1.count * 4 } }

    subscript(name: String) -> StateVector? { names.firstIndex(of: name).map { vectors[$0] } }

    /// Where the state of the weight at `column` of `row` begins.
    func start(row: Int, column: Int) -> Int {
        guard let mask, layout == .compressed else { return row * columns + column }
        return rowStarts[row] + wn_popcount(mask.row(row), column / 8)
    }

    /// Whether compressed state belongs to a mask.
    func isOf(_ other: SparsityMask?) -> Bool {
        guard let mask, let other else { return mask == nil && other == nil }
        // The same bits in memory, step after step, need no look at each.
        return mask.bytes.base == other.bytes.base || mask == other
    }

    /// Moves compressed state to another mask: what stays keeps its numbers, what is grown starts at zero.
    ///
    /// Dense state needs nothing: a step zeroes what is pruned.
    public func adopt(_ new: SparsityMask) {
        guard layout == .compressed, let old = mask else { return }
        let starts = Self.starts(new)
        vectors = vectors.map { vector in
            let moved = StateVector(count: starts[rows])
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { row in
                for index in 0..<rows {
                    wn_expand_kept(vector.base + rowStarts[index], old.row(index), row.baseAddress, columns)
                    wn_pack_kept(row.baseAddress, new.row(index), moved.base + starts[index], columns)
                }
            }
            return moved
        }
        mask = new
        rowStarts = starts
    }
}

/// A vector of state that an optimizer writes; one of the owners of mutable memory, reached by its rule only.
final class StateVector {
    private var buffer: Buffer<Float>
    let base: UnsafeMutablePointer<Float>
    let count: Int

    init(count: Int) {
        buffer = Buffer(count: count)
        base = buffer.withMutableElements { $0.baseAddress! }
        self.count = count
    }
}

/// A tensor under a name, as checkpoints store it.
public struct NamedTensor: Sendable {
    public var name: String
    public var tensor: Tensor

    public init(name: String, tensor: Tensor) {
        self.name = name
        self.tensor = tensor
    }
}

extension OptimizerState {
    /// Copies of all that is needed to go on with the same bits: `steps`, each vector, and for compressed state
    /// the digest of the mask it belongs to.
    public func tensors() -> [NamedTensor] {
        var result = [
            NamedTensor(
                name: "steps",
                tensor: Tensor(dtype: .i64, shape: [1], bytes: StorageSlice(copying: [Int64(steps)])))
        ]
        for (name, vector) in zip(names, vectors) {
            let storage = Storage(byteCount: vector.count * 4) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: vector.base, count: vector.count * 4))
            }
            result.append(
                NamedTensor(
                    name: name,
                    tensor: Tensor(dtype: .f32, shape: [vector.count], bytes: StorageSlice(storage))))
        }
        if let digest = mask.map({ Array($0.sha256().utf8) }) {
            let tensor = Tensor(dtype: .u8, shape: [digest.count], bytes: StorageSlice(copying: digest))
            result.append(NamedTensor(name: "mask", tensor: tensor))
        }
        return result
    }

    /// What ``tensors()`` calls them, in its order, nothing copied.
    var tensorNames: [String] { ["steps"] + names + (mask == nil ? [] : ["mask"]) }

    /// Takes back what ``tensors()`` gave.
    ///
    /// - Parameter find: a stored tensor by its name.
    /// - Throws: ``OptimizerError`` when a tensor is missing or of another size.
    public func restore(_ parameter: String, _ find: (String) -> Tensor?) throws(OptimizerError) {
        func need(_ name: String, _ dtype: DType, _ count: Int) throws(OptimizerError) -> Tensor {
            guard let tensor = find(name) else { throw .missingState(parameter: parameter, name: name) }
            guard tensor.dtype == dtype, tensor.count == count else {
                throw .stateMismatch(
                    parameter: parameter, name: name, found: "\(tensor.count) of \(tensor.dtype.rawValue)",
                    expected: "\(count) of \(dtype.rawValue)")
            }
            return tensor
        }
        let steps = Int(try need("steps", .i64, 1).bytes.bytes.loadUnaligned(as: Int64.self))
        guard steps >= 0 else {
            throw .stateMismatch(
                parameter: parameter, name: "steps", found: "\(steps)", expected: "0 or more")
        }
        if let digest = mask?.sha256() {
            let stored = try need("mask", .u8, digest.utf8.count).bytes.bytes
            guard stored.elementsEqual(digest.utf8) else {
                throw .stateMismatch(
                    parameter: parameter, name: "mask", found: "another one",
                    expected: "the mask it was saved under")
            }
        }
        // All are looked at before one is taken.
        var found: [Tensor] = []
        for (name, vector) in zip(names, vectors) { found.append(try need(name, .f32, vector.count)) }
        for (vector, tensor) in zip(vectors, found) {
            UnsafeMutableRawPointer(vector.base).copyMemory(
                from: tensor.bytes.base, byteCount: vector.count * 4)
        }
        self.steps = steps
    }
}

/// Why an optimizer or its state cannot be used.
public enum OptimizerError: Error, Equatable, Sendable, CustomStringConvertible {
    case missingState(parameter: String, name: String)
    case stateMismatch(parameter: String, name: String, found: String, expected: String)
    case unknownKey(key: String, known: [String])
    case badValue(key: String, value: String, expected: String)

    public var description: String {
        switch self {
        case .missingState(let parameter, let name):
            "the checkpoint has no optimizer state '\(name)' of \(parameter): it belongs to another optimizer or model"
        case .stateMismatch(let parameter, let name, let found, let expected):
            "optimizer state '\(name)' of \(parameter) is \(found); expected \(expected)"
        case .unknownKey(let key, let known):
            "no key '\(key)' in an optimizer; there are \(known.joined(separator: ", "))"
        case .badValue(let key, let value, let expected): "\(key) is \(value); expected \(expected)"
        }
    }
}
