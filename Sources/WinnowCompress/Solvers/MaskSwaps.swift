import WinnowCore
import WinnowWeights

/// The swaps of ``DSnoT``, row by row: every row is on its own.
package struct MaskSwaps {
    package struct Result {
        package var mask: SparsityMask
        package var swaps: Int
        /// The mean over rows of |error|.
        package var errorBefore: Double
        package var errorAfter: Double
    }

    private let settings: DSnoT.Configuration
    /// Of each input, in the unit that the threshold is in.
    private let means: [Double]
    /// Each at least the smallest normal number: a dead or constant channel divides nothing by zero.
    private let weighing: [Double]
    private let norms: [Float]
    private let startNorms: [Float]

    /// - Parameter means: of each input, in the unit that the threshold is in.
    /// - Parameter norms: for the choice of what goes; `startNorms`: those that the start was chosen by.
    package init(
        _ settings: DSnoT.Configuration, means: [Double], variances: [Double], norms: [Float],
        startNorms: [Float]
    ) {
        self.settings = settings
        self.means = means
        self.norms = norms
        self.startNorms = startNorms
        let power = settings.variancePower
        weighing = variances.map { variance in
            let variance = max(variance, .leastNormalMagnitude)
            return power == 0 ? 1 : power == 1 ? variance : exponential(variance, power)
        }
    }

    init(
        _ settings: DSnoT.Configuration, _ statistics: ActivationStatistics, norms: [Float],
        startNorms: [Float]
    ) {
        guard let moments = statistics.moments else { preconditionFailure("statistics without moments") }
        let isReference = settings.statistics == .reference
        let unit = isReference ? Double(moments.tokens) / Double(max(moments.windows, 1)) : 1
        self.init(
            settings, means: moments.means.map { $0 * unit },
            variances: isReference ? moments.variancesWithinWindows : moments.variances, norms: norms,
            startNorms: startNorms)
    }

    package func run(_ layer: LinearWeights, from start: SparsityMask, pattern: SparsityPattern) -> Result {
        let (rows, columns) = (start.rows, start.columns)
        let rowBytes = start.rowBytes
        let bits = Buffer<UInt8>(count: rows * rowBytes)
        let out = bits.base
        // Errors before and after, and swaps, of each row.
        let figures = Buffer<Double>(count: rows * 3)
        let measured = figures.base
        let matrix = layer.matrix
        layer.pool.run(chunks: (rows + 15) / 16) { chunk, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { weights in
                for row in chunk * 16..<min(rows, chunk * 16 + 16) {
                    matrix.row(row, into: weights.baseAddress!)
                    var work = Row(
                        self, UnsafeBufferPointer(weights), kept: (0..<columns).map { start[row, $0] })
                    measured[row * 3] = work.error
                    switch pattern {
                    case .unstructured: work.swap()
                    // Refused where the settings are read: single weights change places.
                    case .blocks: preconditionFailure("swaps within a pattern of blocks")
                    case .nOfM(_, let m): work.swap(inGroupsOf: m)
                    }
                    measured[row * 3 + 1] = work.error
                    measured[row * 3 + 2] = Double(work.swaps)
                    for column in 0..<columns where work.kept[column] {
                        out[row * rowBytes + column / 8] |= 1 << UInt8(column % 8)
                    }
                }
            }
        }
        func mean(_ offset: Int) -> Double {
            (0..<rows).reduce(0) { $0 + abs(measured[$1 * 3 + offset]) } / Double(rows)
        }
        return Result(
            mask: SparsityMask(rows: rows, columns: columns, bytes: StorageSlice(bits.freeze())),
            swaps: Int(mean(2) * Double(rows) + 0.5), errorBefore: mean(0), errorAfter: mean(1))
    }

    /// One row at work.
    struct Row {
        private let of: MaskSwaps
        private let weights: UnsafeBufferPointer<Float>
        /// D: what a kept weight adds to the expected output.
        private let shares: [Double]
        private(set) var kept: [Bool]
        /// Dense less sparse expected output.
        private(set) var error: Double
        private(set) var swaps = 0
        private let firstError: Double

        init(_ of: MaskSwaps, _ weights: UnsafeBufferPointer<Float>, kept: [Bool]) {
            self.of = of
            self.weights = weights
            self.kept = kept
            let means = of.means
            let shares = weights.indices.map { Double(weights[$0]) * means[$0] }
            self.shares = shares
            var error = 0.0
            for column in kept.indices where !kept[column] { error += shares[column] }
            self.error = error
            firstError = error
        }

        /// Pruned weights that would come back, those that help most first: for an error over zero, or under it.
        private func growing(_ isPositive: Bool) -> [Int] {
            let limit = of.settings.cycles
            let shares = shares
            return Extremes.smallest(limit, of: kept.count) { column in
                guard !kept[column], isPositive ? shares[column] > 0 : shares[column] < 0 else { return nil }
                let value = shares[column] / of.weighing[column]
                return isPositive ? -value : value
            } prefersLast: {
                isPositive
            }
        }

        /// Kept weights whose loss lowers an error of this sign, the smallest Wanda score first.
        private func shrinking(_ isPositive: Bool) -> [Int] {
            Extremes.smallest(of.settings.cycles, of: kept.count) { column in
                guard kept[column], isPositive ? shares[column] < 0 : shares[column] > 0 else { return nil }
                return Double(abs(weights[column]) * of.norms[column])
            } prefersLast: {
                false
            }
        }

        private func accepts(_ after: Double, _ acceptance: DSnoT.Acceptance) -> Bool {
            switch acceptance {
            case .any: true
            case .sameSign: (after > 0) == (firstError > 0) && (after < 0) == (firstError < 0)
            case .strictDecrease: abs(after) < abs(error)
            }
        }

        mutating func swap() {
            guard abs(error) > of.settings.threshold, of.settings.cycles > 0 else { return }
            // Over zero, then under it; made when first asked for.
            var lists: [[Int]?] = [nil, nil, nil, nil]
            var places = [0, 0, 0, 0]
            func next(_ list: Int, _ make: () -> [Int]) -> Int? {
                if lists[list] == nil { lists[list] = make() }
                guard places[list] < lists[list]!.count else { return nil }
                places[list] += 1
                return lists[list]![places[list] - 1]
            }
            let original = self
            for _ in 0..<of.settings.cycles {
                guard abs(error) > of.settings.threshold else { return }
                guard let back = next(error > 0 ? 0 : 1, { original.growing(error > 0) }),
                    let gone = next(error >= 0 ? 2 : 3, { original.shrinking(error >= 0) })
                else { return }
                let after = error - shares[back] + shares[gone]
                guard accepts(after, of.settings.acceptance) else { return }
                take(back, for: gone, after)
            }
        }

        /// The weight that goes is the smallest of the group in which one comes back.
        mutating func swap(inGroupsOf size: Int) {
            guard of.settings.cycles > 0 else { return }
            let acceptance = of.settings.acceptance == .any ? .sameSign : of.settings.acceptance
            let original = self
            var lists: [[Int]?] = [nil, nil]
            var places = [0, 0]
            for _ in 0..<of.settings.cycles {
                guard abs(error) > of.settings.threshold else { return }
                let list = error > 0 ? 0 : 1
                if lists[list] == nil { lists[list] = original.growing(error > 0) }
                guard places[list] < lists[list]!.count else { return }
                let back = lists[list]![places[list]]
                places[list] += 1
                let group = back / size * size..<min(kept.count, back / size * size + size)
                var gone: Int?
                var least = Float.infinity
                // Not one that has just come back.
                for column in group where kept[column] && original.kept[column] {
                    let score = abs(weights[column]) * of.startNorms[column]
                    if score < least { (gone, least) = (column, score) }
                }
                guard let gone else { return }
                let after = error - shares[back] + shares[gone]
                guard accepts(after, acceptance) else { return }
                take(back, for: gone, after)
            }
        }

        private mutating func take(_ back: Int, for gone: Int, _ after: Double) {
            kept[back] = true
            kept[gone] = false
            error = after
            swaps += 1
        }
    }
}

/// The few smallest of many.
enum Extremes {
    /// The indices of the `limit` smallest keys, smallest first; nil keys are left out.
    ///
    /// - Parameter prefersLast: whether of equal keys the higher index stands first.
    static func smallest(
        _ limit: Int, of count: Int, key: (Int) -> Double?, prefersLast: () -> Bool
    ) -> [Int] {
        let last = prefersLast()
        var found: [(key: Double, index: Int)] = []
        found.reserveCapacity(min(limit, count) + 1)
        for index in 0..<count {
            guard let key = key(index) else { continue }
            if found.count == limit, last ? key > found[limit - 1].key : key >= found[limit - 1].key {
                continue
            }
            var place = found.count
            while place > 0, last ? found[place - 1].key >= key : found[place - 1].key > key { place -= 1 }
            found.insert((key, index), at: place)
            if found.count > limit { found.removeLast() }
        }
        return found.map(\.index)
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

private func exponential(_ base: Double, _ power: Double) -> Double { pow(base, power) }
