import CWinnow
import WinnowCore

/// Which rows go to which experts: a stable counting sort of (row, slot) pairs by expert.
///
/// Expert e has rows `offsets[e]..<offsets[e + 1]` of the sorted order, its tokens in their own order.
final class ExpertDispatch {
    private let capacity: Int
    private let mostExperts: Int
    /// Slots of a row.
    private var used = 1
    private let experts: UnsafeMutablePointer<Int32>
    private let weights: UnsafeMutablePointer<Float>
    /// Where each (row, slot) pair stands in the sorted order.
    private let places: UnsafeMutablePointer<Int32>
    let offsets: UnsafeMutablePointer<Int32>

    /// - Parameter pairs: the most rows times slots of a step.
    init(pairs: Int, experts count: Int) {
        capacity = pairs
        mostExperts = count
        experts = .allocate(capacity: max(pairs, 1))
        weights = .allocate(capacity: max(pairs, 1))
        places = .allocate(capacity: max(pairs, 1))
        offsets = .allocate(capacity: count + 1)
    }

    deinit {
        experts.deallocate()
        weights.deallocate()
        places.deallocate()
        offsets.deallocate()
    }

    /// Chooses for each row and sorts.
    ///
    /// - Parameter scores: `[rows, experts]`; overwritten.
    func route(_ scores: UnsafeMutablePointer<Float>, rows: Int, experts count: Int, by router: Router) {
        used = router.used
        precondition(rows * used <= capacity && count <= mostExperts, "\(rows) rows to \(count) experts")
        offsets.update(repeating: 0, count: count + 1)
        for row in 0..<rows {
            let own = UnsafeMutableBufferPointer(start: scores + row * count, count: count)
            wn_softmax(own.baseAddress, count)
            router.choose(own, experts: experts + row * used, weights: weights + row * used)
        }
        for pair in 0..<rows * used { offsets[Int(experts[pair]) + 1] += 1 }
        for expert in 0..<count { offsets[expert + 1] += offsets[expert] }
        // Each expert's offset moves along while its pairs are placed, and back afterwards.
        for pair in 0..<rows * used {
            let expert = Int(experts[pair])
            places[pair] = offsets[expert]
            offsets[expert] += 1
        }
        for expert in stride(from: count, to: 0, by: -1) { offsets[expert] = offsets[expert - 1] }
        offsets[0] = 0
    }

    /// Copies rows of `width` values to their places in the sorted order.
    func gather(
        _ x: UnsafePointer<Float>, into sorted: UnsafeMutablePointer<Float>, rows: Int, width: Int,
        on pool: KernelPool
    ) {
        pool.inRows(rows) { range in
            for pair in range.lowerBound * used..<range.upperBound * used {
                (sorted + Int(places[pair]) * width).update(from: x + pair / used * width, count: width)
            }
        }
    }

    /// Adds to each row its experts' outputs times their weights, the most probable first.
    func combine(
        _ sorted: UnsafePointer<Float>, into x: UnsafeMutablePointer<Float>, rows: Int, width: Int,
        on pool: KernelPool
    ) {
        pool.inRows(rows) { range in
            for pair in range.lowerBound * used..<range.upperBound * used {
                wn_add_scaled(
                    x + pair / used * width, sorted + Int(places[pair]) * width, weights[pair], width)
            }
        }
    }
}
