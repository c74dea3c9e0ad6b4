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
            Sparsity counts the linears of the blocks; embeddings, head and norms are left out.

            Example:
              winnow inspect --model smollm2-135m-q4_1
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var running: RunOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let checkpoint = try await self.model.openCheckpoint(output)
        let model = try LanguageModel(checkpoint)
        let pool = try KernelPool(threads: running.threadCount)
        var layers: [Layer] = []
        let linears = Set(model.blocks.flatMap { $0.linears.map(\.parameter.name) })
        var parameters = 0
        let progress = ProgressPrinter(output)
        model.visit { parameter in
            switch parameter.value {
            case .vector(let vector): parameters += vector.count
            case .matrix(let matrix):
                parameters += matrix.count
                let prunable = linears.contains(parameter.name)
                layers.append(
                    Layer(
                        name: parameter.name, matrix: matrix, prunable: prunable,
                        zeros: matrix.zeros(on: pool), nOfM: prunable ? matrix.nOfM(on: pool) : nil))
                progress.update("counting zeros", layers.count, of: nil, "matrices")
            }
        }
        let prunable = layers.filter(\.prunable)
        let weights = prunable.reduce(0) { $0 + $1.matrix.count }
        let zeros = prunable.reduce(0) { $0 + $1.zeros }
        let sparsity = weights > 0 ? Double(zeros) / Double(weights) : 0
        if output.json {
            StandardOutput.write([
                "architecture": .string(checkpoint.configuration.architecture),
                "parameters": .integer(Int64(parameters)), "prunable": .integer(Int64(weights)),
                "zeros": .integer(Int64(zeros)), "sparsity": .number(sparsity),
                "bytes": .integer(Int64(checkpoint.fileBytes)),
                "layers": .array(layers.map(\.json)),
            ])
            return
        }
        let shape = checkpoint.configuration
        StandardOutput.write(
            """
            \(checkpoint.path)
            \(shape.architecture): \(shape.layers) layers, width \(shape.width), FFN \(shape.feedForwardWidth), \
            \(shape.heads) heads (\(shape.keyValueHeads) KV), context \(shape.contextLength), \
            vocabulary \(shape.vocabularySize)
            \(parameters) parameters, \(Format.bytes(checkpoint.fileBytes)) on disk
            sparsity \(Format.percent(sparsity)): \(zeros) zeros of \(weights) prunable weights


            """)
        StandardOutput.write(
            LayerBar.text(
                layers.map {
                    LayerBar(
                        name: $0.name + ($0.nOfM.map { " (\($0))" } ?? ""), format: $0.matrix.format.name,
                        weights: $0.matrix.count, zeros: $0.zeros, bytes: $0.matrix.byteCount)
                }))
    }

    private struct Layer {
        let name: String
        let matrix: WeightMatrix
        let prunable: Bool
        let zeros: Int
        let nOfM: String?

        var share: Double { Double(zeros) / Double(matrix.count) }

        var json: JSONValue {
            [
                "name": .string(name),
                "shape": [.integer(Int64(matrix.rows)), .integer(Int64(matrix.columns))],
                "format": .string(matrix.format.name), "zeros": .integer(Int64(zeros)),
                "bytes": .integer(Int64(matrix.byteCount)), "prunable": .bool(prunable),
                "nOfM": nOfM.map { .string($0) } ?? .null,
            ]
        }
    }
}
