import WinnowCore
import WinnowWeights

/// The prepared forms of one value that the products after it read: usually one, more when matrices of a group
/// have formats that differ, or blocks widths that differ.
struct InputSet {
    private let inputs: [PreparedInput]

    struct Plan {
        let plans: [PreparedInput.Plan]

        /// Room for every form that these matrices read.
        init(for matrices: [WeightMatrix], mode: ActivationMode, capacity: Int, in workspace: Workspace) {
            let kinds = Set(matrices.map { $0.inputKind(mode) })
            plans = PreparedInput.Kind.allCases.filter(kinds.contains).flatMap { kind in
                let widths = Set(matrices.lazy.filter { $0.inputKind(mode) == kind }.map(\.columns))
                return PreparedInput.Plan.plans(
                    kind: kind, columns: widths.sorted(), capacity: capacity, in: workspace)
            }
        }
    }

    init(_ plan: Plan, in workspace: Workspace) {
        inputs = plan.plans.map { PreparedInput($0, in: workspace) }
    }

    /// The form that a matrix reads.
    func input(for matrix: WeightMatrix, mode: ActivationMode) -> PreparedInput {
        let kind = matrix.inputKind(mode)
        return inputs.first { $0.kind == kind && $0.columns == matrix.columns }!
    }

    /// Only the forms that these matrices read.
    func inputs(for matrices: [WeightMatrix], mode: ActivationMode) -> [PreparedInput] {
        inputs.filter { input in
            matrices.contains { $0.inputKind(mode) == input.kind && $0.columns == input.columns }
        }
    }
}
