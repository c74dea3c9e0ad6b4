import WinnowCore
import WinnowWeights

/// A random matrix of one format and the float64 value of each of its weights, both made from the same codes:
/// what the bits mean is written here a second time, apart from the kernels.
struct FormatCase {
  let matrix: WeightMatrix
  /// `[rows, columns]`.
  let weights: [Double]

  init(
    _ format: WeightFormat, rows: Int, columns: Int, group: Int = 64, sparsity: Double = 0.5,
    seed: UInt64 = 1
  ) throws {
    var written = RandomRows(seed: seed)
    var weights: [Double] = []
    var mask: [UInt64] = []
    var offsets: [UInt32] = [0]
    for row in 0..<rows {
      // Every third row is all kept, every fifth all pruned.
      let chance = row % 3 == 2 ? 0 : row % 5 == 4 ? 1 : sparsity
      var kept = [Bool](repeating: true, count: columns)
      if format.isMasked { kept = kept.map { _ in written.random.uniformDouble() >= chance } }
      if format.maskColumns > 1 { kept = kept.indices.map { kept[$0 / format.maskColumns * format.maskColumns] } }
      weights += written.appendRow(format, columns: columns, group: group, kept: kept)
      let units = stride(from: 0, to: columns, by: format.maskColumns).map { kept[$0] }
      for start in stride(from: 0, to: units.count, by: 64) {
        var word: UInt64 = 0
        for bit in 0..<min(64, units.count - start) where units[start + bit] { word |= 1 << UInt64(bit) }
        mask.append(word)
      }
      offsets.append(UInt32(written.values.count))
    }
    self.weights = weights
    matrix = try WeightMatrix(
      format: format, rows: rows, columns: columns, group: group,
      parts: WeightMatrix.Parts(
        values: StorageSlice(copying: written.values),
        mask: format.isMasked ? StorageSlice(copying: mask) : nil,
        rowOffsets: format.isMasked ? StorageSlice(copying: offsets) : nil,
        scales: written.scales.isEmpty ? nil : StorageSlice(copying: written.scales)),
      name: "random \(format)")
  }
}
