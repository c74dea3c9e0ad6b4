import CWinnow

/// An immutable n-dimensional array over a ``Storage``: row-major, contiguous, any alignment.
public struct Tensor: Sendable {
    public let dtype: DType
    public let shape: [Int]
    public let bytes: StorageSlice

    /// - Precondition: the bytes are exactly the shape's elements.
    public init(dtype: DType, shape: [Int], bytes: StorageSlice) {
        precondition(
            bytes.byteCount == shape.reduce(1, *) * dtype.byteCount,
            "\(bytes.byteCount) bytes for \(shape) of \(dtype.rawValue)")
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
    }

    public init(_ values: [Float], shape: [Int]? = nil) {
        self.init(dtype: .f32, shape: shape ?? [values.count], bytes: StorageSlice(copying: values))
    }

    public var count: Int { shape.reduce(1, *) }

    /// The elements as float32; nil for element types that are not F32, F16 or BF16.
    public func floats() -> [Float]? {
        let count = count
        switch dtype {
        case .f32:
            return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes.bytes)
                initialized = count
            }
        case .f16:
            return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
                if count > 0 { wn_f16_to_f32(bytes.base, buffer.baseAddress, count) }
                initialized = count
            }
        case .bf16:
            return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
                if count > 0 { wn_bf16_to_f32(bytes.base, buffer.baseAddress, count) }
                initialized = count
            }
        default: return nil
        }
    }
}
