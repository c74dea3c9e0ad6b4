import ArgumentParser
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowModels
import WinnowReport
import WinnowWeights

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "What a model is made of: formats, bytes, and zeros layer by layer.",
        discussion: """
            Sparsity counts the linears of the blocks; embeddings, head and norms are left out. A pattern like \
            2:4 stands where every group of 4 inputs keeps at most 2.

            Examples:
              winnow inspect --model smollm2-135m-q4_1
              winnow inspect --model pruned --layers
              winnow inspect --model pruned --json
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "A line for each matrix instead of each block.") var layers = false

    func run() async throws {
        let checkpoint = try await self.model.openCheckpoint(output)
        let model = try LanguageModel(checkpoint)
        let pool = try KernelPool(threads: running.threadCount)
        var matrices: [Layer] = []
        let storedFormats = checkpoint.storedFormats
        let linears = Set(model.blocks.flatMap { $0.linears.map(\.parameter.name) })
        var parameters = 0
        let progress = ProgressPrinter(output)
        model.visit { parameter in
            switch parameter.value {
            case .vector(let vector): parameters += vector.count
            case .matrix(let matrix):
                parameters += matrix.count
                let prunable = linears.contains(parameter.name)
                matrices.append(
                    Layer(
                        name: parameter.name, matrix: matrix, storedFormat: storedFormats[parameter.name],
                        prunable: prunable,
                        zeros: matrix.zeros(on: pool), nOfM: prunable ? matrix.pattern(on: pool) : nil))
                progress.update("counting zeros", matrices.count, of: nil, "matrices")
            }
        }
        let prunable = matrices.filter(\.prunable)
        let weights = prunable.reduce(0) { $0 + $1.matrix.count }
        let zeros = prunable.reduce(0) { $0 + $1.zeros }
        let sparsity = weights > 0 ? Double(zeros) / Double(weights) : 0
        if output.json {
            StandardOutput.write([
                "architecture": .string(checkpoint.configuration.architecture),
                "parameters": .integer(Int64(parameters)), "prunable": .integer(Int64(weights)),
                "zeros": .integer(Int64(zeros)), "sparsity": .number(sparsity),
                "bytes": .integer(Int64(checkpoint.fileBytes)),
                "layers": .array(matrices.map(\.json)),
            ])
            return
        }
        let shape = checkpoint.configuration
        var facts = Table([.init("what"), .init("here")])
        facts.add(["model", checkpoint.path])
        facts.add(["architecture", shape.architecture])
        /// One number, or those between which the blocks' lie.
        func range(_ own: KeyPath<LayerShape, Int>) -> String {
            let values = (0..<shape.layers).map { shape.shape(ofLayer: $0)[keyPath: own] }
            let (least, most) = (values.min() ?? 0, values.max() ?? 0)
            return least == most ? "\(most)" : "\(least) to \(most)"
        }
        facts.add([
            "blocks", "\(shape.layers) of width \(shape.width), feed-forward \(range(\.feedForwardWidth))",
        ])
        if let experts = shape.traits.experts {
            let shared = experts.sharedWidth > 0 ? ", one for all of width \(experts.sharedWidth)" : ""
            facts.add([
                "experts",
                "\(experts.used) of \(range(\.experts)) a token, of width \(experts.width)\(shared)",
            ])
        }
        facts.add(["attention", "\(range(\.heads)) heads, \(range(\.keyValueHeads)) of keys and values"])
        facts.add([
            "tokens",
            "context \(Format.count(shape.contextLength)), vocabulary \(Format.count(shape.vocabularySize))",
        ])
        facts.add(["parameters", Format.count(parameters)])
        facts.add(["on disk", Format.bytes(checkpoint.fileBytes)])
        facts.add([
            "sparsity",
            "\(Format.percent(sparsity)): \(Format.count(zeros)) zeros of \(Format.count(weights)) prunable weights",
        ])
        for source in Set(storedFormats.values).sorted() { facts.add(["packed as", source]) }
        StandardOutput.write(facts.text + "\n")
        StandardOutput.write(LayerBar.text(layers ? matrices.map(\.bar) : InspectCommand.blocks(matrices)))
        if !layers { output.note("--layers shows each matrix") }
    }

    /// A bar for each block and for each matrix that stands outside of them, in the model's order.
    private static func blocks(_ matrices: [Layer]) -> [LayerBar] {
        var groups: [(name: String, layers: [Layer])] = []
        for matrix in matrices {
            let name = matrix.block ?? matrix.name
            if groups.last?.name == name {
                groups[groups.count - 1].layers.append(matrix)
            } else {
                groups.append((name, [matrix]))
            }
        }
        return groups.map { name, layers in
            var formats: [String] = []
            for layer in layers where !formats.contains(layer.matrix.format.name) {
                formats.append(layer.matrix.format.name)
            }
            // The block has a pattern when all of its matrices have the same one.
            let pattern = layers.allSatisfy { $0.nOfM == layers[0].nOfM } ? layers[0].nOfM : nil
            return LayerBar(
                name: name + (pattern.map { " (\($0))" } ?? ""), format: formats.joined(separator: ", "),
                weights: layers.reduce(0) { $0 + $1.matrix.count }, zeros: layers.reduce(0) { $0 + $1.zeros },
                bytes: layers.reduce(0) { $0 + $1.matrix.byteCount })
        }
    }

    private struct Layer {
        let name: String
        let matrix: WeightMatrix
        /// What it was in its file, where it was unpacked.
        let storedFormat: String?
        let prunable: Bool
        let zeros: Int
        let nOfM: String?

        /// `model.layers.3` of `model.layers.3.mlp.up_proj.weight`; nil outside of blocks.
        var block: String? {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard let at = parts.firstIndex(where: { Int($0) != nil }), at > 0 else { return nil }
            return parts[...at].joined(separator: ".")
        }

        var bar: LayerBar {
            LayerBar(
                name: name + (nOfM.map { " (\($0))" } ?? ""), format: matrix.format.name,
                weights: matrix.count, zeros: zeros, bytes: matrix.byteCount)
        }

        var json: JSONValue {
            [
                "name": .string(name),
                "shape": [.integer(Int64(matrix.rows)), .integer(Int64(matrix.columns))],
                "format": .string(matrix.format.name), "zeros": .integer(Int64(zeros)),
                "bytes": .integer(Int64(matrix.byteCount)), "prunable": .bool(prunable),
                "storedFormat": storedFormat.map { .string($0) } ?? .null,
                "nOfM": nOfM.map { .string($0) } ?? .null,
            ]
        }
    }
}
