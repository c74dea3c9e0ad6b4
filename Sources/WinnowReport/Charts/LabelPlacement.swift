/// Puts labels beside points so that they cover neither each other, nor points, nor lines, as far as there is room.
struct LabelPlacement {
    struct Box: Equatable {
        var x: Double
        var y: Double
        var width: Double
        var height: Double

        /// The area that two boxes share.
        func overlap(_ other: Box) -> Double {
            max(0, min(x + width, other.x + other.width) - max(x, other.x))
                * max(0, min(y + height, other.y + other.height) - max(y, other.y))
        }
    }

    let bounds: Box
    let fontSize: Double

    /// A box for each label, in order; the first labels choose first.
    ///
    /// - Parameter points: the mark of each label.
    /// - Parameter path: a line of level and upright parts that labels should not stand on.
    func boxes(
        _ labels: [String], at points: [(x: Double, y: Double)], avoiding path: [(x: Double, y: Double)] = []
    ) -> [Box] {
        let marks = points.map { Box(x: $0.x - 7, y: $0.y - 7, width: 14, height: 14) }
        let lines = zip(path, path.dropFirst()).map { start, end in
            Box(
                x: min(start.x, end.x) - 1, y: min(start.y, end.y) - 1, width: abs(end.x - start.x) + 2,
                height: abs(end.y - start.y) + 2)
        }
        var placed: [Box] = []
        for (label, point) in zip(labels, points) {
            let width = Drawing.width(of: label, size: fontSize)
            let height = fontSize * 1.15
            var best: (box: Box, cost: Double)?
            for (preference, offset) in candidates(width, height).enumerated() {
                var box = Box(x: point.x + offset.x, y: point.y + offset.y, width: width, height: height)
                let wanted = box
                box.x = min(max(box.x, bounds.x), max(bounds.x, bounds.x + bounds.width - width))
                box.y = min(max(box.y, bounds.y), max(bounds.y, bounds.y + bounds.height - height))
                // Any overlap weighs more than the order of preference; being pushed from the place is in between.
                let overlap = (placed + marks + lines).reduce(0) { $0 + $1.overlap(box) }
                let moved = abs(box.x - wanted.x) + abs(box.y - wanted.y)
                let cost = overlap * 100 + moved * 3 + Double(preference)
                if best.map({ cost < $0.cost }) ?? true { best = (box, cost) }
            }
            if let best { placed.append(best.box) }
        }
        return placed
    }

    /// Right, left, above, below, then the corners, then one line further up and down.
    private func candidates(_ width: Double, _ height: Double) -> [(x: Double, y: Double)] {
        let gap = 10.0
        let (right, left, middle) = (gap, -width - gap, -width / 2)
        let (above, beside, below) = (-height - gap, -height / 2, gap)
        return [
            (right, beside), (left, beside), (middle, above), (middle, below), (right, above), (left, above),
            (right, below), (left, below), (right, above - height), (right, below + height),
            (left, above - height), (left, below + height),
        ]
    }
}
