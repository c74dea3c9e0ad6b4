import WinnowCore

/// K-means over sets, as vectors of zeros and ones; the number of clusters by the elbow of the inertia.
///
/// - Source: CoreInfer, arXiv 2410.18311, and its code: K-means for 1 to 10 clusters, the one with the largest second
///   difference of the inertia, 4 at least, seed 42. Starts are drawn as k-means++ does (Arthur and Vassilvitskii,
///   2007), the best of three.
package struct BinaryClusters {
    /// Of each cluster, the share of its members that hold an element.
    package private(set) var centres: [[Float]]
    /// The cluster of each set.
    package private(set) var members: [Int]
    /// Squared distances of the sets to their centres, summed.
    package private(set) var inertia: Double

    static let fewest = 4
    static let most = 10

    /// - Parameter sets: of elements under `width`; at least one.
    package init(_ sets: [[Int]], width: Int, seed: UInt64 = 42) {
        let distinct = Set(sets).count
        let largest = min(BinaryClusters.most, distinct)
        let tries = (1...largest).map { BinaryClusters(sets, width: width, count: $0, seed: seed) }
        let inertias = tries.map(\.inertia)
        var elbow = 1
        var sharpest = -Double.infinity
        for index in inertias.indices.dropFirst().dropLast() {
            let bend = inertias[index - 1] - 2 * inertias[index] + inertias[index + 1]
            if bend > sharpest { (sharpest, elbow) = (bend, index + 1) }
        }
        self = tries[min(max(elbow, BinaryClusters.fewest), largest) - 1]
    }

    /// So many clusters, at most as many as there are different sets.
    package init(_ sets: [[Int]], width: Int, count: Int, seed: UInt64, starts: Int = 3) {
        var random = Random(seed: seed)
        self = BinaryClusters(sets, width: width, count: count, using: &random)
        for _ in 1..<max(starts, 1) {
            let other = BinaryClusters(sets, width: width, count: count, using: &random)
            if other.inertia < inertia { self = other }
        }
    }

    private init(_ sets: [[Int]], width: Int, count: Int, using random: inout Random) {
        centres = BinaryClusters.starts(sets, width: width, count: count, using: &random)
        members = Array(repeating: -1, count: sets.count)
        inertia = 0
        for _ in 0..<100 {
            let found = sets.map { BinaryClusters.nearest(to: $0, among: centres) }
            inertia = found.reduce(0) { $0 + $1.distance }
            guard found.map(\.index) != members else { break }
            members = found.map(\.index)
            var sums = centres.map { [Float](repeating: 0, count: $0.count) }
            var sizes = centres.map { _ in Float(0) }
            for (set, member) in zip(sets, members) {
                sizes[member] += 1
                for element in set { sums[member][element] += 1 }
            }
            // A cluster that lost its members keeps its centre.
            for cluster in centres.indices where sizes[cluster] > 0 {
                centres[cluster] = sums[cluster].map { $0 / sizes[cluster] }
            }
        }
    }

    /// The nearest centre, of equals the first, and the squared distance to it.
    static func nearest(to set: [Int], among centres: [[Float]]) -> (index: Int, distance: Double) {
        var best = (index: 0, distance: Double.infinity)
        for (index, centre) in centres.enumerated() {
            let distance = distance(of: set, to: centre)
            if distance < best.distance { best = (index, distance) }
        }
        return best
    }

    /// ||x - c||^2 = ||c||^2 + |x| - 2 sum of c over x.
    private static func distance(of set: [Int], to centre: [Float]) -> Double {
        var squares = 0.0
        for value in centre { squares += Double(value) * Double(value) }
        var shared = 0.0
        for element in set { shared += Double(centre[element]) }
        return max(squares + Double(set.count) - 2 * shared, 0)
    }

    /// Sets drawn one after another, each with a chance that rises with its squared distance to those before.
    private static func starts(
        _ sets: [[Int]], width: Int, count: Int, using random: inout Random
    ) -> [[Float]] {
        func centre(_ set: [Int]) -> [Float] {
            var centre = [Float](repeating: 0, count: width)
            for element in set { centre[element] = 1 }
            return centre
        }
        var centres = [centre(sets[Int(random.next() % UInt64(sets.count))])]
        while centres.count < count {
            let distances = sets.map { nearest(to: $0, among: centres).distance }
            var left = random.uniformDouble() * distances.reduce(0, +)
            var chosen = distances.lastIndex { $0 > 0 } ?? 0
            for (index, distance) in distances.enumerated() where distance > 0 {
                left -= distance
                if left < 0 {
                    chosen = index
                    break
                }
            }
            centres.append(centre(sets[chosen]))
        }
        return centres
    }
}
