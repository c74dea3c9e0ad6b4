/// One line per layer: its name, a bar of how much of it is kept, and figures; for `winnow inspect`.
public struct LayerBar: Sendable, Equatable {
    public var name: String
    public var format: String
    public var weights: Int
    public var zeros: Int
    public var bytes: Int

    public init(name: String, format: String, weights: Int, zeros: Int, bytes: Int) {
        self.name = name
        self.format = format
        self.weights = weights
        self.zeros = zeros
        self.bytes = bytes
    }

    public var sparsity: Double { weights == 0 ? 0 : Double(zeros) / Double(weights) }

    /// All layers under one another. A bar is as long as the layer's share of the largest one, and filled as far
    /// as its weights are kept.
    public static func text(_ layers: [LayerBar], width: Int = 24) -> String {
        let largest = layers.map(\.weights).max() ?? 0
        var table = Table([
            .init("layer"), .init("█ kept ░ zero"), .figures("sparsity"), .init("format"), .figures("size"),
        ])
        for layer in layers {
            let scale = largest == 0 ? 0 : Double(width) / Double(largest)
            // Every layer shows at least one cell.
            let length = max(1, Int((Double(layer.weights) * scale).rounded()))
            let kept = Int((Double(length) * (1 - layer.sparsity)).rounded())
            table.add([
                layer.name,
                String(repeating: "█", count: kept) + String(repeating: "░", count: length - kept),
                Format.percent(layer.sparsity), layer.format, Format.bytes(layer.bytes),
            ])
        }
        return table.text
    }
}
