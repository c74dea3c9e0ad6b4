import WinnowCompress
import WinnowWeights

extension RecipeDecoder {
    func drop(_ node: RecipeNode, _ subject: RecipeNode) throws(RecipeError) -> DropPhase {
        let word: String = try subject.read()
        guard let structure = Structure(rawValue: word) else {
            let names = Structure.allCases.map(\.rawValue).joined(separator: ", ")
            throw subject.error("\(word) is not \(names)")
        }
        // A dropped layer leaves nothing that could make up for it, and nothing to store anew.
        try node.refuseOthers(
            than: ["drop", "fraction"] + (structure == .layers ? [] : ["reconstruct", "damping", "store"]))
        guard let share = node["fraction"] else { throw node.error("drop needs a fraction, such as 0.25") }
        var phase = DropPhase(structure, fraction: try share.read())
        guard phase.fraction > 0, phase.fraction < 1 else {
            throw share.error("\(phase.fraction) is not more than 0 and less than 1")
        }
        try node.read("reconstruct", into: &phase.reconstructs)
        try node.read("damping", into: &phase.damping)
        guard phase.damping >= 0, phase.damping.isFinite else {
            throw (node["damping"] ?? node).error("\(phase.damping) is not 0 or more")
        }
        if let store = node["store"] {
            let name: String = try store.read()
            guard name != "source" else { return phase }
            guard let format = WeightFormats.named(name), format.canEncode, !format.isMasked else {
                let names = WeightFormats.all.filter { $0.canEncode && !$0.isMasked }.map(\.name)
                throw store.error("\(name) is not source, \(names.joined(separator: ", "))")
            }
            phase.store = format
        }
        return phase
    }
}
