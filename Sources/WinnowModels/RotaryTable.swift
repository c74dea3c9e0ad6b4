import WinnowCore
import WinnowIO

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Cosines and sines of rotary positions: row p holds width/2 cosines, then as many sines, of the columns that turn.
///
/// Angles are rounded to float32 as transformers does, so that long positions agree with it. Grows as positions
/// come.
final class RotaryTable {
    private let width: Int
    private let frequencies: [Float]
    /// Cosines and sines are multiplied with it.
    private let attentionFactor: Float
    private var table = Buffer<Float>(count: 0)
    private var positions = 0

    /// - Parameter capacity: the longest that its sequences may become.
    init(_ settings: RopeSettings, headWidth: Int, capacity: Int) {
        width = settings.width(ofHead: headWidth)
        (frequencies, attentionFactor) = settings.frequencies(headWidth: headWidth, capacity: capacity)
    }

    /// The table with at least `count` rows.
    func rows(_ count: Int) -> UnsafePointer<Float> {
        if count > positions {
            let newCount = max(count, positions * 2, 256)
            var grown = Buffer<Float>(count: newCount * width)
            let half = width / 2
            grown.withMutableElements { values in
                for position in 0..<newCount {
                    for index in 0..<half {
                        let angle = Double(Float(position) * frequencies[index])
                        values[position * width + index] = Float(cos(angle)) * attentionFactor
                        values[position * width + half + index] = Float(sin(angle)) * attentionFactor
                    }
                }
            }
            table = grown
            positions = newCount
        }
        return UnsafePointer(table.base)
    }
}

/// The tables of a model: for each kind of layer, and for sequences that stay within the original context or not.
final class RotaryTables {
    private let shape: ModelConfiguration
    private let full: RotaryTable
    /// Of sequences that may grow past the original context; nil where they turn the same way.
    private let long: RotaryTable?
    private let sliding: RotaryTable?

    init(_ shape: ModelConfiguration) {
        self.shape = shape
        full = RotaryTable(shape.rope, headWidth: shape.headWidth, capacity: 1)
        if case .longrope = shape.rope.scaling {
            long = RotaryTable(shape.rope, headWidth: shape.headWidth, capacity: .max)
        } else {
            long = nil
        }
        sliding = shape.traits.slidingRope.map { RotaryTable($0, headWidth: shape.headWidth, capacity: 1) }
    }

    /// The table for a layer of a sequence of a capacity, with at least `count` rows.
    func rows(_ count: Int, layer: Int, capacity: Int) -> UnsafePointer<Float> {
        if let sliding, shape.traits.window(ofLayer: layer) != nil { return sliding.rows(count) }
        if let long, case .longrope(_, _, let originalContext, _) = shape.rope.scaling,
            capacity > originalContext
        {
            return long.rows(count)
        }
        return full.rows(count)
    }
}
