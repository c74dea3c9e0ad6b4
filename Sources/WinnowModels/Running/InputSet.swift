import WinnowCore
import WinnowWeights

/// The prepared forms of one value that the products after it read: usually one, more when matrices of a group
/// have formats that differ.
struct InputSet {
    private let inputs: [PreparedInput]

    struct Plan {
        let plans: [PreparedInput.Plan]

        /// Room for every form that these matrices read.
        init(for matrices: [WeightMatrix], mode: ActivationMode, capacity: Int, in workspace: Workspace) {
            let kinds = Set(matrices.map { $0.inputKind(mode) })
            plans = PreparedInput.Kind.allCases.filter(kinds.contains).map {
                PreparedInput.Plan(
                    kind: $0, columns: matrices[0].columns, capacity: capacity, in: workspace)
            }
        }
    }

    init(_ plan: Plan, in workspace: Workspace) {
        inputs = plan.plans.map { PreparedInput($0, in: workspace) }
    }

    /// The form that a matrix reads.
    func input(for matrix: WeightMatrix, mode: ActivationMode) -> PreparedInput {
        let kind = matrix.inputKind(mode)
        return inputs.first { $0.kind == kind }!
    }

    /// Only the forms that these matrices read.
    func inputs(for matrices: [WeightMatrix], mode: ActivationMode) -> [PreparedInput] {
        let kinds = Set(matrices.map { $0.inputKind(mode) })
        return inputs.filter { kinds.contains($0.kind) }
    }
}
