import WinnowCore
import WinnowIO
import WinnowModels
import WinnowWeights

/// What becomes of a model's tensors and of its shape.
struct StructureChanges {
    let model: LanguageModel
    /// Of each block as it was, changed.
    var shapes: [LayerShape]
    var replaced: [String: CheckpointTensor] = [:]
    /// Blocks that stay, in their order.
    var keptBlocks: [Int]

    init(_ model: LanguageModel) {
        self.model = model
        shapes = model.blocks.indices.map(model.configuration.shape(ofLayer:))
        keptBlocks = Array(model.blocks.indices)
    }

    mutating func keepRows(_ rows: [Int], of linear: Linear) throws {
        replaced[linear.weight.name] = .matrix(try linear.weight.matrix.selectingRows(rows))
        guard let bias = linear.bias else { return }
        let floats = bias.vector.floats() ?? []
        replaced[bias.name] = .vector(Tensor(rows.map { floats[$0] }))
    }

    var configuration: ModelConfiguration {
        var result = model.configuration
        let own = keptBlocks.map { shapes[$0] }
        result.layers = own.count
        let first = own[0]
        result.layerShapes = own.allSatisfy { $0 == first } ? [] : own
        result.heads = first.heads
        result.keyValueHeads = first.keyValueHeads
        result.feedForwardWidth = first.feedForwardWidth
        return result
    }

    /// Every tensor under its name in the new model.
    func tensors() -> [(name: String, tensor: CheckpointTensor)] {
        var tensors: [(String, CheckpointTensor)] = []
        let blockNames = Dictionary(uniqueKeysWithValues: renamed())
        let inBlocks = Set((0..<model.configuration.layers).flatMap { names(ofBlock: $0) })
        model.visit { parameter in
            let tensor = replaced[parameter.name] ?? parameter.tensor
            if let name = blockNames[parameter.name] {
                tensors.append((name, tensor))
            } else if !inBlocks.contains(parameter.name) {
                tensors.append((parameter.name, tensor))
            }
        }
        return tensors
    }

    /// Names of kept blocks' tensors, old and new.
    private func renamed() -> [(String, String)] {
        keptBlocks.enumerated().flatMap { place, block in
            Array(zip(names(ofBlock: block), names(ofBlock: block, as: place)))
        }
    }

    /// What a block's tensors are called when it stands at `place`.
    private func names(ofBlock block: Int, as place: Int? = nil) -> [String] {
        let shape = model.configuration
        return TensorRole.allCases.filter(\.isInBlock).flatMap { role -> [String] in
            guard shape.has(role, layer: block) else { return [] }
            let experts: [Int?] =
                [.expertGate, .expertUp, .expertDown].contains(role)
                ? (0..<shape.shape(ofLayer: block).experts).map { $0 } : [nil]
            return experts.compactMap { shape.tensorName(role, layer: place ?? block, expert: $0) }
        }
    }

    /// What is left of each block, or which blocks are left.
    func kept(_ structure: Structure, _ before: ModelConfiguration) -> [Int] {
        switch structure {
        case .neurons: shapes.map(\.feedForwardWidth)
        case .heads: shapes.map(\.heads)
        case .layers: keptBlocks
        }
    }
}

extension Parameter {
    fileprivate var tensor: CheckpointTensor {
        switch value {
        case .matrix(let matrix): .matrix(matrix)
        case .vector(let vector): .vector(vector)
        }
    }
}
