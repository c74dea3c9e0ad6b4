import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Cosines and sines of rotary positions: row p holds headWidth/2 cosines, then as many sines.
///
/// Frequencies and angles are rounded to float32 as the reference implementation does
/// (transformers, `default` rope), so that long positions agree with it. Grows as positions come.
final class RotaryTable {
    private let headWidth: Int
    private let frequencies: [Float]
    private var table = Buffer<Float>(count: 0)
    private var positions = 0

    init(headWidth: Int, base: Double) {
        self.headWidth = headWidth
        frequencies = (0..<headWidth / 2).map { index in
            1 / powf(Float(base), Float(2 * index) / Float(headWidth))
        }
    }

    /// The table with at least `count` rows.
    func rows(_ count: Int) -> UnsafePointer<Float> {
        if count > positions {
            let newCount = max(count, positions * 2, 256)
            var grown = Buffer<Float>(count: newCount * headWidth)
            let half = headWidth / 2
            grown.withMutableElements { values in
                for position in 0..<newCount {
                    for index in 0..<half {
                        let angle = Double(Float(position) * frequencies[index])
                        values[position * headWidth + index] = Float(cos(angle))
                        values[position * headWidth + half + index] = Float(sin(angle))
                    }
                }
            }
            table = grown
            positions = newCount
        }
        return UnsafePointer(table.base)
    }
}
