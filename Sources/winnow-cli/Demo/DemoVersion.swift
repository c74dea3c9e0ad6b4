import WinnowCompress
import WinnowCore
import WinnowWeights

/// One thing that the demo makes out of the given file.
struct DemoVersion: Sendable {
    let name: String
    /// What must stand beside the name.
    var remark: String?
    let making: Making

    enum Making: Sendable {
        /// Pruned and kept in the source's own grid.
        case pruned(any LayerMethod)
        /// The masks of an earlier version, its kept weights rounded to another grid.
        case stored(StoredForm, of: String)
    }

    /// The folder's name.
    var folder: String {
        String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
            .split(separator: "-").joined(separator: "-")
    }

    var needsCalibration: Bool {
        if case .pruned(let method) = making { !method.statistics.isEmpty } else { false }
    }

    /// Few enough for three minutes on two cores: a baseline, two sparsities, the pattern that other hardware
    /// wants, and sparsity with a coarser grid.
    static func standard() throws -> [DemoVersion] {
        func wanda(_ sparsity: Double, _ pattern: SparsityPattern = .unstructured) throws -> Making {
            var configuration = Wanda.Configuration()
            configuration.sparsity = sparsity
            configuration.pattern = pattern
            return .pruned(try Wanda(configuration))
        }
        var magnitude = Magnitude.Configuration()
        magnitude.sparsity = 0.5
        return [
            DemoVersion(name: "Wanda 30 %", making: try wanda(0.3)),
            DemoVersion(name: "Wanda 50 %", making: try wanda(0.5)),
            DemoVersion(name: "Wanda 50 % + int4", making: .stored(.int4(group: 32), of: "Wanda 50 %")),
            DemoVersion(
                name: "Wanda 2:4", remark: "without retraining", making: try wanda(0.5, .nOfM(n: 2, m: 4))),
            DemoVersion(name: "magnitude 50 %", making: .pruned(try Magnitude(magnitude))),
        ]
    }
}
