/// The two limits of a computation: what memory delivers and what the arithmetic units do.
///
/// A step that moves B bytes and does N operations takes at least max(B / bandwidth, N / peak).
///
/// - Source: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
public struct Roofline: Sendable, Equatable {
    /// Bytes per second.
    public var bandwidth: Double
    /// Operations per second; a multiplication and an addition count as two.
    public var peak: Double

    public init(bandwidth: Double, peak: Double) {
        self.bandwidth = bandwidth
        self.peak = peak
    }

    /// Operations a byte above which arithmetic is the limit.
    public var ridge: Double { peak / bandwidth }

    /// The most operations per second at an intensity, in operations a byte.
    public func ceiling(at intensity: Double) -> Double { min(peak, bandwidth * intensity) }

    /// What held a step up.
    public enum Bound: String, Sendable, Equatable {
        case memory
        case arithmetic
        /// Neither limit is as near as half: the time went into starting, waiting, unpacking, or a cache.
        case overhead
    }

    /// Where a step stands under its roofs.
    public struct Standing: Sendable, Equatable {
        /// Of the bandwidth and of the peak that the step reached, 0 to about 1.
        public var memoryShare: Double
        public var arithmeticShare: Double

        public init(memoryShare: Double, arithmeticShare: Double) {
            self.memoryShare = memoryShare
            self.arithmeticShare = arithmeticShare
        }

        /// The nearer roof, if it was reached at least half.
        public var bound: Bound {
            let larger = max(memoryShare, arithmeticShare)
            guard larger >= 0.5 else { return .overhead }
            return memoryShare >= arithmeticShare ? .memory : .arithmetic
        }
    }

    /// - Parameter seconds: what the step took; none gives shares of 0.
    public func standing(bytes: Double, operations: Double, seconds: Double) -> Standing {
        guard seconds > 0 else { return Standing(memoryShare: 0, arithmeticShare: 0) }
        return Standing(
            memoryShare: bandwidth > 0 ? bytes / seconds / bandwidth : 0,
            arithmeticShare: peak > 0 ? operations / seconds / peak : 0)
    }
}
