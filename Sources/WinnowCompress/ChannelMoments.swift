import CWinnow
import WinnowCore

/// The mean and variance of each channel, over all tokens and within windows.
///
/// Windows are merged by Chan's formula, which does not cancel.
public struct ChannelMoments: Sendable {
    /// Of each channel, over all tokens of finished windows.
    public private(set) var means: [Double]
    /// Windows finished, and their tokens.
    public private(set) var windows = 0
    public private(set) var tokens = 0
    /// Sums of squared deviations from the mean of all, and from that of each window.
    private var deviations: [Double]
    private var deviationsWithin: [Double]
    /// The window at hand.
    private var sums: [Double]
    private var squares: [Double]
    private var windowTokens = 0

    init(width: Int) {
        let zeros = [Double](repeating: 0, count: width)
        means = zeros
        deviations = zeros
        deviationsWithin = zeros
        sums = zeros
        squares = zeros
    }

    mutating func add(_ x: UnsafePointer<Float>, stride: Int, tokens: Int, on pool: KernelPool) {
        let width = sums.count
        sums.withUnsafeMutableBufferPointer {
            wn_add_sums(pool.pointer, x, stride, tokens, width, $0.baseAddress)
        }
        squares.withUnsafeMutableBufferPointer {
            wn_add_squares(pool.pointer, x, stride, tokens, width, $0.baseAddress)
        }
        windowTokens += tokens
    }

    mutating func endWindow() {
        guard windowTokens > 0 else { return }
        let (old, new) = (Double(tokens), Double(windowTokens))
        for channel in sums.indices {
            let mean = sums[channel] / new
            let within = max(0, squares[channel] - sums[channel] * mean)
            let difference = mean - means[channel]
            means[channel] += difference * new / (old + new)
            deviations[channel] += within + difference * difference * old * new / (old + new)
            deviationsWithin[channel] += within
            sums[channel] = 0
            squares[channel] = 0
        }
        tokens += windowTokens
        windows += 1
        windowTokens = 0
    }

    /// Over all tokens.
    public var variances: [Double] { deviations.map { $0 / Double(max(tokens, 1)) } }

    /// The mean over tokens of the variance in their window: what differs between windows is not in it.
    public var variancesWithinWindows: [Double] { deviationsWithin.map { $0 / Double(max(tokens, 1)) } }

    var firstNotFinite: Int? { deviations.firstIndex { !$0.isFinite } ?? means.firstIndex { !$0.isFinite } }

    static func byteCount(width: Int) -> Int { 5 * width * MemoryLayout<Double>.stride }
}
