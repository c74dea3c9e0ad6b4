import CWinnow
import WinnowCore
import WinnowModels

/// What a method needs to know of a layer's inputs. A new reduction is a member here and a field of
/// ``ActivationStatistics``.
public struct StatisticsRequest: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The sum of squares of each input channel.
    public static let squares = StatisticsRequest(rawValue: 1)
    /// The mean and variance of each input channel.
    public static let moments = StatisticsRequest(rawValue: 2)
    /// X^T X over all input channels.
    public static let gram = StatisticsRequest(rawValue: 4)
    /// The largest magnitude of each input channel.
    public static let peaks = StatisticsRequest(rawValue: 8)
}

/// Reductions over the tokens that passed a tap point, for all matrices that read it.
///
/// Sums are float64, tokens in order, window by window: the same bits for any number of threads and any step size.
public struct ActivationStatistics {
    /// Tokens seen.
    public private(set) var count = 0
    /// For each channel j, sum over tokens of x_j^2; empty when not asked for.
    public private(set) var sumOfSquares: [Double]
    /// For each channel j, max over tokens of |x_j|; empty when not asked for.
    public private(set) var peaks: [Float]
    /// nil when not asked for.
    public private(set) var moments: ChannelMoments?
    /// nil when not asked for.
    public let gram: GramMatrix?
    public let width: Int
    /// Tokens of a window; nil: what is added at once is one.
    public let windowLength: Int?

    public init(width: Int, _ request: StatisticsRequest, windowLength: Int? = nil) {
        self.width = width
        self.windowLength = windowLength
        sumOfSquares = request.contains(.squares) ? [Double](repeating: 0, count: width) : []
        peaks = request.contains(.peaks) ? [Float](repeating: 0, count: width) : []
        moments = request.contains(.moments) ? ChannelMoments(width: width) : nil
        gram = request.contains(.gram) ? GramMatrix(order: width) : nil
    }

    public mutating func add(_ values: TapValues, on pool: KernelPool) {
        precondition(values.width == width, "\(values.width) values for statistics of \(width)")
        if !sumOfSquares.isEmpty {
            sumOfSquares.withUnsafeMutableBufferPointer {
                wn_add_squares(pool.pointer, values.base, values.stride, values.tokens, width, $0.baseAddress)
            }
        }
        if !peaks.isEmpty {
            peaks.withUnsafeMutableBufferPointer {
                wn_add_peaks(pool.pointer, values.base, values.stride, values.tokens, width, $0.baseAddress)
            }
        }
        guard moments != nil || gram != nil else {
            count += values.tokens
            return
        }
        // Window by window, so that rounding does not depend on how many of them make a step.
        var done = 0
        while done < values.tokens {
            let rest = values.tokens - done
            let part = windowLength.map { min($0 - count % $0, rest) } ?? rest
            let base = values.base + done * values.stride
            gram?.add(base, stride: values.stride, tokens: part, on: pool)
            moments?.add(base, stride: values.stride, tokens: part, on: pool)
            count += part
            done += part
            if windowLength.map({ count % $0 == 0 }) ?? true { moments?.endWindow() }
        }
    }

    /// Ends a window that has fewer tokens than the others: experts see what is routed to them.
    mutating func finish() { moments?.endWindow() }

    /// ||X_j||_2 of each channel.
    public var columnNorms: [Float] { sumOfSquares.map { Float($0.squareRoot()) } }

    /// The first channel whose values were not all finite; nil when all were.
    public var firstNotFinite: Int? {
        sumOfSquares.firstIndex { !$0.isFinite } ?? gram?.diagonal.firstIndex { !$0.isFinite }
            ?? moments?.firstNotFinite ?? peaks.firstIndex { !$0.isFinite }
    }

    /// Bytes that these statistics take.
    public static func byteCount(width: Int, _ request: StatisticsRequest) -> Int {
        (request.contains(.squares) ? width * MemoryLayout<Double>.stride : 0)
            + (request.contains(.moments) ? ChannelMoments.byteCount(width: width) : 0)
            + (request.contains(.peaks) ? width * MemoryLayout<Float>.stride : 0)
            + (request.contains(.gram) ? GramMatrix.byteCount(order: width) : 0)
    }
}
