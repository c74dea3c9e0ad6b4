import CWinnow
import WinnowCore

/// The values that the weights of one matrix may take in a format: scale * code + offset, a scale for each run of
/// columns of a row.
///
/// Solvers round to it weight by weight; ``matrix(codes:stride:on:name:)`` then stores exactly what they chose.
public struct QuantGrid {
    /// A dense format: what is masked has the grid of its dense twin.
    public let format: WeightFormat
    public let rows: Int
    public let columns: Int
    /// Columns that share a scale.
    public let group: Int
    public let codes: ClosedRange<Int>
    /// Whether solvers find the scales on their way, where a group of columns begins.
    public let findsScales: Bool
    /// Rows of the arrays, filled up to a multiple of 8.
    package let stride: Int
    /// `[groups, stride]`.
    package var scales: [Double]
    /// `[groups, stride]`; empty: zeros.
    package var offsets: [Double]
    /// Scales as a file has them, where they are not found on the way.
    private let stored: StorageSlice?

    package static func stride(rows: Int) -> Int { (rows + 7) / 8 * 8 }

    private init(
        _ format: WeightFormat, of matrix: WeightMatrix, group: Int, codes: ClosedRange<Int>,
        finds: Bool = false,
        stored: StorageSlice?
    ) {
        self.format = format
        rows = matrix.rows
        columns = matrix.columns
        self.group = group
        self.codes = codes
        findsScales = finds
        self.stored = stored
        stride = QuantGrid.stride(rows: matrix.rows)
        scales = [Double](repeating: 0, count: stride * ((matrix.columns + group - 1) / group))
        offsets = []
    }

    /// The grid that a matrix has itself; nil for plain numbers and for GGUF's larger blocks, which are only read.
    public init?(of matrix: WeightMatrix, on pool: KernelPool) {
        let format = matrix.format.dense
        guard format.canEncode, !format.isFloat, let stored = matrix.ownScales(on: pool) else { return nil }
        let group =
            switch format.scales {
            case .row: matrix.columns
            case .group: matrix.group
            default: 32
            }
        let hasOffsets = format == .q4_1
        let range =
            hasOffsets ? 0...15 : format.codeBits == 4 ? -8...7 : format == .int8 ? -127...127 : -128...127
        self.init(format, of: matrix, group: group, codes: range, stored: stored)
        if hasOffsets { offsets = scales }
        let groups = (matrix.columns + group - 1) / group
        for row in 0..<rows {
            for index in 0..<groups {
                let place = index * stride + row
                if format.scales == .row {
                    scales[place] = Double(
                        stored.bytes.loadUnaligned(fromByteOffset: row * 4, as: Float.self))
                } else {
                    let first = (row * groups + index) * (hasOffsets ? 2 : 1)
                    scales[place] = stored.half(first)
                    if hasOffsets { offsets[place] = stored.half(first + 1) }
                }
            }
        }
    }

    /// int8 with a scale a row: the largest magnitude of the row / 127.
    public init(int8Of matrix: WeightMatrix, on pool: KernelPool) {
        let floats = matrix.floats(on: pool)
        let scales = (0..<matrix.rows).map { row in
            var largest: Float = 0
            for value in floats[row * matrix.columns..<(row + 1) * matrix.columns] {
                largest = max(largest, abs(value))
            }
            return largest / 127
        }
        self.init(
            .int8, of: matrix, group: matrix.columns, codes: -127...127, stored: StorageSlice(copying: scales)
        )
        for (row, scale) in scales.enumerated() { self.scales[row] = Double(scale) }
    }

    /// Q8_0: the largest magnitude of each 32 columns / 127, in float16.
    public init(q8_0Of matrix: WeightMatrix, on pool: KernelPool) {
        let floats = matrix.floats(on: pool)
        let halves = (0..<matrix.count / 32).map { block in
            var largest: Float = 0
            for value in floats[block * 32..<block * 32 + 32] { largest = max(largest, abs(value)) }
            return Float16(largest / 127)
        }
        self.init(.q8_0, of: matrix, group: 32, codes: -127...127, stored: StorageSlice(copying: halves))
        let groups = matrix.columns / 32
        for row in 0..<rows {
            for index in 0..<groups { scales[index * stride + row] = Double(halves[row * groups + index]) }
        }
    }

    /// int4 with a scale for each `group` columns, found on the way.
    ///
    /// - Parameter bits: 4, or fewer for the inner codes of the same format: 3 uses -4...3.
    public init(int4Of matrix: WeightMatrix, group: Int, bits: Int = 4) {
        precondition((2...4).contains(bits), "\(bits) bits in int4")
        let half = 1 << (bits - 1)
        self.init(.int4, of: matrix, group: group, codes: -half...half - 1, finds: true, stored: nil)
    }

    /// The same grid with scales that are known before: the largest magnitude of each group of `matrix`, over the
    /// lowest code.
    public func fixed(on matrix: WeightMatrix, on pool: KernelPool) -> QuantGrid {
        guard findsScales else { return self }
        let floats = matrix.floats(on: pool)
        let groups = (columns + group - 1) / group
        var halves = [Float16](repeating: 0, count: rows * groups)
        for row in 0..<rows {
            for index in 0..<groups {
                var largest: Float = 0
                for column in index * group..<min(columns, (index + 1) * group) {
                    let value = floats[row * columns + column]
                    if abs(value) > abs(largest) { largest = value }
                }
                halves[row * groups + index] = Float16(largest / Float(codes.lowerBound))
            }
        }
        var grid = QuantGrid(
            format, of: matrix, group: group, codes: codes, stored: StorageSlice(copying: halves))
        for row in 0..<rows {
            for index in 0..<groups {
                grid.scales[index * stride + row] = Double(halves[row * groups + index])
            }
        }
        return grid
    }

    /// The value of the code that is nearest to one.
    public func nearest(_ row: Int, _ column: Int, _ value: Double) -> Double {
        let place = column / group * stride + row
        let (scale, offset) = (scales[place], offsets.isEmpty ? 0 : offsets[place])
        let code = scale == 0 ? 0 : ((value - offset) / scale).rounded(.toNearestOrEven)
        return min(max(code, Double(codes.lowerBound)), Double(codes.upperBound)) * scale + offset
    }

    /// The matrix of these codes, `[columns, stride]`, in the dense format.
    package func matrix(
        codes: UnsafePointer<Int8>, on pool: KernelPool, name: String
    ) throws(WeightError) -> WeightMatrix {
        let rowBytes = format.rowBytes(columns: columns)
        let values = Buffer<UInt8>(count: rows * rowBytes)
        let out = values.base
        let own = stored ?? foundScales
        let ownRow = own.byteCount / rows
        let (columns, stride, code) = (columns, stride, format.code)
        let rowsAtOnce = max(1, 1 << 16 / columns)
        pool.run(chunks: (rows + rowsAtOnce - 1) / rowsAtOnce) { chunk, _ in
            withUnsafeTemporaryAllocation(of: Int8.self, capacity: columns) { row in
                for index in chunk * rowsAtOnce..<min(rows, (chunk + 1) * rowsAtOnce) {
                    wn_gather_codes(codes + index, stride, columns, row.baseAddress)
                    wn_write_codes(
                        code, row.baseAddress, columns, own.base + index * ownRow, out + index * rowBytes)
                }
            }
        }
        let apart = format.scales == .row || format.scales == .group
        return try WeightMatrix(
            format: format, rows: rows, columns: columns, group: format.scales == .group ? group : 0,
            parts: .init(values: StorageSlice(values.freeze()), scales: apart ? own : nil), name: name)
    }

    /// Scales found on the way, as int4 stores them.
    private var foundScales: StorageSlice {
        let groups = (columns + group - 1) / group
        var halves = [Float16](repeating: 0, count: rows * groups)
        for row in 0..<rows {
            for index in 0..<groups { halves[row * groups + index] = Float16(scales[index * stride + row]) }
        }
        return StorageSlice(copying: halves)
    }
}

extension StorageSlice {
    fileprivate func half(_ index: Int) -> Double {
        Double(bytes.loadUnaligned(fromByteOffset: index * 2, as: Float16.self))
    }
}
