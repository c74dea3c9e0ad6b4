import Testing
import WinnowCore
import WinnowWeights

/// Products of every format against float64, on every instruction set of this CPU.
@Suite struct ProductTests {
  /// Rows and columns; formats in blocks get their columns rounded up to 32.
  static let shapes = [(1, 1), (7, 31), (19, 33), (37, 257), (18, 576), (9, 1100)]

  static var cases: [(InstructionSet, String)] {
    InstructionSet.allCases.filter(\.isAvailable).flatMap { set in
      WeightFormats.all.filter(\.canEncode).map { (set, $0.name) }
    }
  }

  /// x W^T in steps of `batch` tokens, `[tokens, rows]`.
  static func products(
    _ matrix: WeightMatrix, _ x: [Float], mode: ActivationMode, batch: Int, threads: Int,
    set: InstructionSet,
    gate: WeightMatrix? = nil
  ) throws -> [Float] {
    let pool = try KernelPool(threads: threads)
    let tokens = x.count / matrix.columns
    var x = x
    var out = [Float](repeating: .nan, count: tokens * matrix.rows)
    let ran: Void? = try set.run {
      let workspace = Workspace()
      let plan = PreparedInput.Plan(
        kind: matrix.inputKind(mode), columns: matrix.columns, capacity: batch, in: workspace)
      workspace.commit()
      let input = PreparedInput(plan, in: workspace)
      try x.withUnsafeMutableBufferPointer { x in
        try out.withUnsafeMutableBufferPointer { out in
          for first in stride(from: 0, to: tokens, by: batch) {
            var group = ProductGroup()
            group.add(
              matrix, input: input, output: out.baseAddress! + first * matrix.rows,
              stride: matrix.rows, epilogue: gate == nil ? .store : .gatedSiLU,
              gate: gate.map { ($0, input) })
            try pool.reserve(scratch: group.scratchBytes)
            input.fill(
              x.baseAddress! + first * matrix.columns, stride: matrix.columns,
              tokens: min(batch, tokens - first), on: pool)
            group.run(on: pool)
          }
        }
      }
    }
    try #require(ran != nil)
    return out
  }

  /// Multiples of a power of two that every input kind holds exactly: whole numbers with the largest there is
  /// in each block of 32 (int8) or token (16 bit), so that a product's only error is its sums'.
  static func exactInputs(_ kind: PreparedInput.Kind, tokens: Int, columns: Int, seed: UInt64)
    -> [Float]
  {
    var random = Random(seed: seed)
    return (0..<tokens * columns).map { index in
      let column = index % columns
      switch kind {
      case .f32, .bf16: return random.normal()
      case .block8:
        let value = column % 32 == 5 % columns ? 127 : Int(random.next() % 255) - 127
        return Float(value) * 0x1p-6
      case .token8:
        let value = column == columns / 2 ? -127 : Int(random.next() % 255) - 127
        return Float(value) * 0x1p-6
      case .planes16:
        let value = column == columns / 2 ? -32512 : Int(random.next() % 65025) - 32512
        return Float(value) * 0x1p-14
      }
    }
  }

  static func columns(_ columns: Int, _ format: WeightFormat) -> Int {
    (columns + format.blockWidth - 1) / format.blockWidth * format.blockWidth
  }

  @Test(arguments: cases, ActivationMode.allCases)
  func productsMatchFloat64(_ kernel: (InstructionSet, String), mode: ActivationMode) throws {
    let format = try #require(WeightFormats.named(kernel.1))
    for (index, shape) in Self.shapes.enumerated() {
      let columns = Self.columns(shape.1, format)
      let group = [32, 64, 128][index % 3]
      let made = try FormatCase(
        format, rows: shape.0, columns: columns, group: group, seed: UInt64(index))
      let kind = made.matrix.inputKind(mode)
      let largest = made.weights.reduce(0) { max($0, abs($1)) }
      for tokens in [1, 3, 65] {
        let x = Self.exactInputs(kind, tokens: tokens, columns: columns, seed: UInt64(tokens))
        let y = try Self.products(
          made.matrix, x, mode: mode, batch: tokens, threads: 2, set: kernel.0)
        var worst = 0.0
        for token in 0..<tokens {
          for row in 0..<shape.0 {
            var sum = 0.0
            var size = 1e-6
            for column in 0..<columns {
              let value = Double(x[token * columns + column])
              let term = made.weights[row * columns + column] * value
              sum += term
              // AVX-512 multiplies unsigned codes and takes an offset off: where all is pruned, two sums that cancel.
              size += abs(term) + largest * abs(value)
            }
            worst = max(worst, abs(Double(y[token * shape.0 + row]) - sum) / size)
          }
        }
        // Two roundings to eight bits.
        let isRounded = mode == .bfloat16 && tokens >= 16
        #expect(worst < (isRounded ? 0x1p-7 : 4e-6), "\(shape.0) x \(columns), \(tokens) tokens")
      }
    }
  }

  /// Real inputs lose what rounding takes: at most half a step a value, about 1 % in all for int8 blocks.
  @Test(arguments: cases, [ActivationMode.fast, .int8])
  func fastProductsStayCloseToExact(_ kernel: (InstructionSet, String), mode: ActivationMode) throws {
    let format = try #require(WeightFormats.named(kernel.1))
    let made = try FormatCase(format, rows: 64, columns: 576)
    var random = Random(seed: 5)
    let x = (0..<3 * 576).map { _ in random.normal() }
    let exact = try Self.products(made.matrix, x, mode: .exact, batch: 3, threads: 1, set: kernel.0)
    let fast = try Self.products(made.matrix, x, mode: mode, batch: 3, threads: 1, set: kernel.0)
    var error = 0.0
    var size = 0.0
    for (a, b) in zip(exact, fast) {
      error += Double((a - b) * (a - b))
      size += Double(a * a)
    }
    let bound =
      switch made.matrix.inputKind(mode) {
      case .f32, .bf16: 1e-6
      case .block8: 0.012
      case .token8: 0.02
      case .planes16: 1e-4
      }
    #expect((error / size).squareRoot() < bound)
  }

  @Test(arguments: cases, [ActivationMode.exact, .fast, .int8])
  func bitsDependOnTheRowAndTheTokenOnly(_ kernel: (InstructionSet, String), mode: ActivationMode)
    throws
  {
    let format = try #require(WeightFormats.named(kernel.1))
    for (rows, width) in [(37, 257), (18, 1100)] {
      let columns = Self.columns(width, format)
      let made = try FormatCase(format, rows: rows, columns: columns)
      let gate = try FormatCase(format, rows: rows, columns: columns, seed: 9)
      var random = Random(seed: 6)
      let x = (0..<65 * columns).map { _ in random.normal() }
      func bits(batch: Int, threads: Int, gate: WeightMatrix?) throws -> [UInt32] {
        try Self.products(
          made.matrix, x, mode: mode, batch: batch, threads: threads, set: kernel.0, gate: gate
        ).map(\.bitPattern)
      }
      for gate in [nil, gate.matrix] {
        let whole = try bits(batch: 65, threads: 1, gate: gate)
        #expect(whole == (try bits(batch: 1, threads: 1, gate: gate)), "alone")
        #expect(whole == (try bits(batch: 3, threads: 2, gate: gate)), "three at once")
        #expect(whole == (try bits(batch: 7, threads: 4, gate: gate)), "seven at once")
        #expect(whole == (try bits(batch: 65, threads: 2, gate: gate)), "2 threads")
        #expect(whole == (try bits(batch: 65, threads: 4, gate: gate)), "4 threads")
      }
    }
  }

  @Test(arguments: cases)
  func rowsMeanWhatTheFormatSays(_ kernel: (InstructionSet, String)) throws {
    let format = try #require(WeightFormats.named(kernel.1))
    for (rows, width) in Self.shapes {
      let columns = Self.columns(width, format)
      let made = try FormatCase(format, rows: rows, columns: columns)
      var row = [Float](repeating: .nan, count: columns + 1)
      for index in 0..<rows {
        kernel.0.run {
          row.withUnsafeMutableBufferPointer { made.matrix.row(index, into: $0.baseAddress!) }
        }
        for column in 0..<columns {
          let expected = made.weights[index * columns + column]
          #expect(abs(Double(row[column]) - expected) <= 1.2e-7 * max(abs(expected), 0.1))
        }
        #expect(row[columns].isNaN, "wrote past the row")
      }
    }
  }
}
