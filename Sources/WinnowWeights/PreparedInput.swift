import CWinnow
import WinnowCore

/// How activations enter products.
public enum ActivationMode: String, Sendable, CaseIterable, Codable {
    /// Every product reads float32 inputs: for comparison with other engines.
    case exact
    /// Products over integer weights read int8 blocks of 32, or two int8 planes a token.
    case fast
    /// As fast, but Winnow's own integer formats (int8, int4) read plain int8 a token: what W8A8 of the papers computes.
    /// No faster here, and less exact; for comparison.
    case int8
    /// Sixteen tokens or more are multiplied in bfloat16, and so are weights of every format, where the CPU does it; fewer as
    /// ``exact`` has them. Results depend a little on how many tokens run at once: for calibrating, and for comparison.
    case bfloat16
}

/// Activations `[tokens, columns]` in the form that products read, made once for all products of a group.
///
/// Float32, int8 in blocks of 32 with their sums (for GGUF's formats), or 16 bit a token as two int8 planes
/// (for Winnow's own integer formats), of which ``ActivationMode/int8`` fills one; or float32 that is rounded to bfloat16.
public struct PreparedInput {
    /// The numeric form; see `wn_matrix.h`.
    package enum Kind: Int32, Sendable, CaseIterable {
        case f32 = 0
        case block8 = 1
        case planes16 = 2
        case token8 = 3
        case bf16 = 4

        package var code: wn_input_kind { wn_input_kind(UInt32(rawValue)) }
    }

    private let descriptor: UnsafeMutablePointer<wn_input>
    package let kind: Kind
    package let capacity: Int
    package let columns: Int

    /// Plans room for `capacity` tokens in a workspace.
    package struct Plan {
        let kind: Kind
        let columns: Int
        let capacity: Int
        let region: Workspace.Region
        let header: Workspace.Region

        package init(kind: Kind, columns: Int, capacity: Int, in workspace: Workspace) {
            self.init(
                kind: kind, columns: columns, capacity: capacity,
                sharing: workspace.reserve(bytes: wn_input_bytes(kind.code, columns, capacity)), in: workspace
            )
        }

        /// In a region that another input has too, which is not in use at the same time.
        private init(
            kind: Kind, columns: Int, capacity: Int, sharing region: Workspace.Region, in workspace: Workspace
        ) {
            self.kind = kind
            self.columns = columns
            self.capacity = capacity
            self.region = region
            header = workspace.reserve(bytes: MemoryLayout<wn_input>.size)
        }

        /// An input for each width, all in the place of the widest: one of them is in use at a time.
        package static func plans(
            kind: Kind, columns widths: [Int], capacity: Int, in workspace: Workspace
        ) -> [Plan] {
            let bytes = widths.map { wn_input_bytes(kind.code, $0, capacity) }.max() ?? 0
            let region = workspace.reserve(bytes: bytes)
            return widths.map {
                Plan(kind: kind, columns: $0, capacity: capacity, sharing: region, in: workspace)
            }
        }
    }

    /// The planned input, once the workspace is committed.
    package init(_ plan: Plan, in workspace: Workspace) {
        descriptor = workspace.pointer(plan.header).assumingMemoryBound(to: wn_input.self)
        kind = plan.kind
        capacity = plan.capacity
        columns = plan.columns
        wn_input_place(
            descriptor, plan.kind.code, plan.columns, plan.capacity, workspace.pointer(plan.region))
    }

    package var pointer: UnsafePointer<wn_input> { UnsafePointer(descriptor) }

    /// Fills the input from `tokens` rows of `x`, RMS-normalised first where `norm` is given.
    package func fill(
        _ x: UnsafeMutablePointer<Float>, stride: Int, tokens: Int,
        norm: (weight: UnsafePointer<Float>, epsilon: Float)? = nil, on pool: KernelPool
    ) {
        precondition(tokens <= capacity, "\(tokens) tokens in an input planned for \(capacity)")
        wn_prepare(pool.pointer, descriptor, tokens, x, stride, norm?.weight, norm?.epsilon ?? 0)
    }
}

extension WeightMatrix {
    /// The form of inputs that products over this matrix read.
    package func inputKind(_ mode: ActivationMode) -> PreparedInput.Kind {
        guard mode != .exact else { return .f32 }
        guard mode != .bfloat16 else { return .bf16 }
        let kind = PreparedInput.Kind(rawValue: Int32(wn_format_input(format.code).rawValue)) ?? .f32
        return mode == .int8 && kind == .planes16 ? .token8 : kind
    }
}
