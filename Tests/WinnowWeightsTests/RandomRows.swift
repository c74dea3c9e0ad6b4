import WinnowCore
import WinnowWeights

/// Writes rows of random codes in the bytes of a format, and says what each weight means.
struct RandomRows {
  var random: Random
  private(set) var values: [UInt8] = []
  private(set) var scales: [UInt8] = []

  init(seed: UInt64) { random = Random(seed: seed) }

  /// Appends a row and returns its weights.
  mutating func appendRow(
    _ format: WeightFormat, columns: Int, group: Int, kept: [Bool]
  ) -> [Double] {
    switch format.name {
    case "f32", "f16", "bf16", "masked-f16": return appendFloats(format.name, kept)
    case "int8", "masked-int8", "block4-int8":
      let scale = 0.001 + random.uniform() * 0.01
      append(scale.bitPattern, to: \.scales)
      return appendBytes(kept).map { Double(scale) * Double($0) }
    case "int4", "masked-int4":
      let groups = (0..<(columns + group - 1) / group).map { _ in half(0.01) }
      for scale in groups { append(scale.bitPattern, to: \.scales) }
      let codes = appendNibbles(kept)
      return (0..<columns).map { kept[$0] ? Double(groups[$0 / group]) * Double(codes[$0] - 8) : 0 }
    default: return appendBlocks(format, kept)
    }
  }

  private mutating func appendFloats(_ name: String, _ kept: [Bool]) -> [Double] {
    kept.map { kept in
      guard kept else { return 0 }
      let value = random.normal() * 0.1
      switch name {
      case "f32":
        append(value.bitPattern, to: \.values)
        return Double(value)
      case "bf16":
        let bits = UInt16(value.bitPattern >> 16)
        append(bits, to: \.values)
        return Double(Float(bitPattern: UInt32(bits) << 16))
      default:
        append(Float16(value).bitPattern, to: \.values)
        return Double(Float16(value))
      }
    }
  }

  /// One signed byte a kept weight.
  private mutating func appendBytes(_ kept: [Bool]) -> [Int] {
    kept.map { kept in
      guard kept else { return 0 }
      let code = Int8(truncatingIfNeeded: random.next())
      append(UInt8(bitPattern: code), to: \.values)
      return Int(code)
    }
  }

  /// Four bits a kept weight, low nibble first, each run of 64 columns from a new byte on.
  private mutating func appendNibbles(_ kept: [Bool]) -> [Int] {
    var codes = [Int](repeating: 0, count: kept.count)
    for start in stride(from: 0, to: kept.count, by: 64) {
      let columns = (start..<min(start + 64, kept.count)).filter { kept[$0] }
      for (index, column) in columns.enumerated() {
        codes[column] = Int(random.next() & 15)
        if index % 2 == 0 {
          values.append(UInt8(codes[column]))
        } else {
          values[values.count - 1] |= UInt8(codes[column] << 4)
        }
      }
    }
    return codes
  }

  private mutating func appendBlocks(_ format: WeightFormat, _ kept: [Bool]) -> [Double] {
    let isAffine = format.dense.name == "q4_1"
    let isByte = format.dense.name == "q8_0"
    var weights: [Double] = []
    let heads = (0..<kept.count / 32).map { _ in
      (half(isByte ? 0.001 : 0.01), isAffine ? -half(0.1) : 0)
    }
    var codes: [Int] = []
    if format.isMasked {
      for (scale, offset) in heads {
        append(scale.bitPattern, to: \.scales)
        if isAffine { append(offset.bitPattern, to: \.scales) }
      }
      codes = isByte ? appendBytes(kept) : appendNibbles(kept)
    } else {
      for (scale, offset) in heads {
        append(scale.bitPattern, to: \.values)
        if isAffine { append(offset.bitPattern, to: \.values) }
        if isByte {
          codes += appendBytes([Bool](repeating: true, count: 32))
        } else {
          let block = (0..<32).map { _ in Int(random.next() & 15) }
          for index in 0..<16 { values.append(UInt8(block[index] | block[index + 16] << 4)) }
          codes += block
        }
      }
    }
    for (column, code) in codes.enumerated() {
      let (scale, offset) = heads[column / 32]
      let zero = isAffine || isByte ? 0 : 8
      weights.append(kept[column] ? Double(scale) * Double(code - zero) + Double(offset) : 0)
    }
    return weights
  }

  /// A positive float16 of about this size.
  private mutating func half(_ size: Float) -> Float16 { Float16(size * (0.2 + random.uniform())) }

  private mutating func append<Bits: FixedWidthInteger>(
    _ bits: Bits, to bytes: WritableKeyPath<RandomRows, [UInt8]>
  ) {
    withUnsafeBytes(of: bits.littleEndian) { self[keyPath: bytes].append(contentsOf: $0) }
  }
}
