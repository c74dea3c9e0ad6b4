/// A share for each matrix of a model: blocks along, kinds of matrices down, the stronger the larger.
public struct HeatChart: Sendable, Equatable {
    public var title: String
    /// Kinds of matrices, top to bottom: q_proj, k_proj, …
    public var rows: [String]
    /// `[rows][blocks]`, 0 to 1; a value that is not finite is an empty cell.
    public var values: [[Double]]
    public var note: String?

    public init(_ title: String, rows: [String], values: [[Double]], note: String? = nil) {
        precondition(rows.count == values.count, "\(rows.count) names for \(values.count) rows")
        self.title = title
        self.rows = rows
        self.values = values
        self.note = note
    }

    /// Gathers the layers of a model by the names of their tensors, `model.layers.BLOCK.….KIND.weight`; others
    /// are left out.
    public init(_ title: String, layers: [LayerBar], note: String? = nil) {
        var kinds: [String] = []
        var found: [(kind: Int, block: Int, value: Double)] = []
        for layer in layers {
            let parts = layer.name.split(separator: ".")
            guard let at = parts.firstIndex(of: "layers"), at + 2 < parts.count,
                let block = Int(parts[at + 1]),
                (0..<10_000).contains(block),
                let kind = parts.last(where: { $0 != "weight" }).map(String.init)
            else { continue }
            if !kinds.contains(kind) { kinds.append(kind) }
            found.append((kinds.firstIndex(of: kind) ?? 0, block, layer.sparsity))
        }
        let blocks = (found.map(\.block).max() ?? -1) + 1
        var values = [[Double]](repeating: [Double](repeating: .nan, count: blocks), count: kinds.count)
        for entry in found { values[entry.kind][entry.block] = entry.value }
        self.init(title, rows: kinds, values: values, note: note)
    }

    private var blocks: Int { values.map(\.count).max() ?? 0 }
    private var finite: [Double] { values.flatMap { $0 }.filter(\.isFinite) }

    public var svg: String {
        let width = 520.0
        let left = 10 + (rows.map { Drawing.width(of: $0, size: 13) }.max() ?? 0)
        let cellWidth = (width - left - 4) / Double(max(blocks, 1))
        let cellHeight = 24.0
        let bottom = Double(rows.count) * cellHeight + 4
        var drawing = Drawing(width: width, height: max(bottom + 76, 60))
        guard !finite.isEmpty else {
            drawing.text("No figures", x: width / 2, y: 34, "label", anchor: .middle)
            return drawing.svg(id: title, title: title, description: "No figures.")
        }
        let gap = min(1.5, cellWidth * 0.15)
        for (row, name) in rows.enumerated() {
            let y = Double(row) * cellHeight + 4
            drawing.text(name, x: left - 8, y: y + 16.5, "tick", anchor: .end)
            for (block, value) in values[row].enumerated() {
                drawing.rectangle(
                    x: left + Double(block) * cellWidth, y: y, width: cellWidth - gap,
                    height: cellHeight - gap,
                    value.isFinite ? "cell" : "cell empty", opacity: value.isFinite ? strength(value) : nil,
                    tip: "block \(block), \(name): \(Format.percent(value))")
            }
        }
        let step = [1, 2, 5, 10, 20, 50, 100].first { Double($0) * cellWidth >= 26 } ?? 200
        for block in stride(from: 0, to: blocks, by: step) {
            drawing.text(
                "\(block)", x: left + (Double(block) + 0.5) * cellWidth, y: bottom + 15, "tick",
                anchor: .middle)
        }
        drawing.text("block", x: left + (width - left) / 2, y: bottom + 33, "axis-title", anchor: .middle)
        // The key: five cells from nothing to everything.
        for index in 0..<5 {
            let share = Double(index) / 4
            let x = left + Double(index) * 60
            drawing.rectangle(x: x, y: bottom + 50, width: 16, height: 16, "cell", opacity: strength(share))
            drawing.text(Format.percent(share, 0), x: x + 21, y: bottom + 63, "tick")
        }
        return drawing.svg(id: title, title: title, description: description)
    }

    /// Nothing is still seen as a cell.
    private func strength(_ value: Double) -> Double { 0.06 + 0.94 * min(max(value, 0), 1) }

    private var description: String {
        rows.indices.map { row in
            let values = values[row].filter(\.isFinite)
            guard let low = values.min(), let high = values.max() else { return "\(rows[row]): no figures" }
            return "\(rows[row]): \(Format.percent(low)) to \(Format.percent(high))"
        }.joined(separator: "; ") + ", over \(blocks) blocks."
    }
}

extension HeatChart: PageElement {
    public var html: String { Figure.html(svg: svg, title: title, note: note) }
}
