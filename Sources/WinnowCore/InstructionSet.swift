import CWinnow

/// The instruction sets that kernels are written for, chosen at run time.
public enum InstructionSet: String, Sendable, CaseIterable {
  case scalar, avx2, avx512, neon

  private var code: wn_isa {
    switch self {
    case .scalar: WN_ISA_SCALAR
    case .avx2: WN_ISA_AVX2
    case .avx512: WN_ISA_AVX512
    case .neon: WN_ISA_NEON
    }
  }

  public var isAvailable: Bool { wn_isa_available(code) }

  /// What kernels use now: the best this CPU has, unless `WINNOW_ISA` or ``select(_:)`` said otherwise.
  public static var current: InstructionSet {
    let code = wn_isa_current()
    return allCases.first { $0.code == code } ?? .scalar
  }

  /// Switches every kernel; call it before any model runs.
  ///
  /// - Returns: false, and nothing changes, when this CPU lacks the set.
  public static func select(_ set: InstructionSet) -> Bool { wn_isa_select(set.code) }

  /// Runs `body` with what this thread starts on this set; other threads keep theirs.
  ///
  /// - Returns: nil, without running it, when this CPU lacks the set.
  package func run<Result>(_ body: () throws -> Result) rethrows -> Result? {
    guard wn_isa_select_local(Int32(code.rawValue)) else { return nil }
    defer { _ = wn_isa_select_local(-1) }
    return try body()
  }
}
