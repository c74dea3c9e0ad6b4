import WinnowCore
import WinnowNumbers
import WinnowWeights

/// Chooses a weight format for each layer shape of a model by measuring on this machine.
///
/// Matrices of one shape, format and share of zeros are a group. Every format that the target holds is a candidate;
/// masked ones only where the weights hold more zeros than the mask costs bytes, four bits not for the matrix that makes
/// logits. A candidate must keep ‖W - V‖ / ‖W‖ within ``maxWeightError`` for each matrix of its group, and zeros zero.
/// Among those that do, the fastest product with one row is taken; within ``tolerance`` of it, the smallest error.
public struct FormatChooser {
    /// Seconds of a product with one row over each of the matrices.
    public typealias Measurement = (_ candidates: [WeightMatrix], _ group: Group) throws -> [Double]

    /// Matrices that get one format.
    public struct Group: Sendable, Equatable {
        public let rows: Int
        public let columns: Int
        public let source: WeightFormat
        /// Share of zeros of the first, which stands for all in the measurement.
        public let zeros: Double
        public let isHead: Bool
        public internal(set) var names: [String]
    }

    public let target: ModelConversion.Target
    public var maxWeightError = 0.02
    /// Times closer than this are not told apart.
    public var tolerance = 0.02
    /// Columns that share a scale in int4.
    public var group = 64

    public init(for target: ModelConversion.Target) { self.target = target }

    /// - Parameter progress: called with the groups done and their number.
    /// - Throws: ``CheckpointError``, and what `measure` throws.
    public func choose(
        _ model: Checkpoint, conditions: FormatPlan.Conditions, on pool: KernelPool, measure: Measurement,
        progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws -> FormatPlan {
        let groups = try groups(of: model, on: pool)
        var choices: [FormatPlan.Choice] = []
        for (index, group) in groups.enumerated() {
            progress(index, groups.count)
            choices.append(try choose(group, model, on: pool, measure))
            FreedMemory.release()
        }
        progress(groups.count, groups.count)
        return FormatPlan(
            architecture: model.configuration.architecture,
            fingerprint: try FormatPlan.fingerprint(of: model),
            conditions: conditions, choices: choices)
    }

    /// The groups of a model, in order of their first matrices.
    public func groups(of model: Checkpoint, on pool: KernelPool) throws -> [Group] {
        var groups: [Group] = []
        for (name, isHead) in FormatPlan.names(of: model) {
            let matrix = try model.matrix(name)
            let zeros = Double(matrix.zeros(on: pool)) / Double(matrix.count)
            let place = groups.firstIndex {
                $0.rows == matrix.rows && $0.columns == matrix.columns && $0.source == matrix.format
                    && $0.isHead == isHead && abs($0.zeros - zeros) < 0.05
            }
            if let place {
                groups[place].names.append(name)
            } else {
                groups.append(
                    Group(
                        rows: matrix.rows, columns: matrix.columns, source: matrix.format, zeros: zeros,
                        isHead: isHead, names: [name]))
            }
        }
        return groups
    }

    /// The formats that are looked at for a group, its own first.
    public func formats(for group: Group) -> [WeightFormat] {
        let allowed = ModelConversion.formats(for: target)
        let own = target == .packed || allowed.contains(group.source) ? [group.source] : []
        return own
            + allowed.filter { format in
                guard format != group.source, group.columns % format.blockWidth == 0 else { return false }
                if group.isHead { return !format.isMasked && format.codeBits > 4 }
                // A bit a weight pays only where more than one in so many codes is left out.
                return !format.isMasked || group.zeros * Double(format.codeBits) > 1
            }
    }

    private func choose(
        _ group: Group, _ model: Checkpoint, on pool: KernelPool, _ measure: Measurement
    ) throws -> FormatPlan.Choice {
        let first = try model.matrix(group.names[0])
        var made: [(matrix: WeightMatrix, place: Int)] = []
        var candidates: [FormatPlan.Candidate] = []
        for format in formats(for: group) {
            var candidate = FormatPlan.Candidate(
                format: format, bytes: 0, seconds: nil, error: nil, refusal: .range)
            if let matrix = try converted(first, format, group.names[0], on: pool) {
                candidate.bytes = matrix.byteCount
                let error = matrix.relativeError(of: first, on: pool)
                candidate.error = error
                candidate.refusal =
                    error > maxWeightError
                    ? .error : keepsZeros(first, matrix, group.zeros, on: pool) ? .slower : .zeros
                if candidate.refusal == .slower { made.append((matrix, candidates.count)) }
            }
            candidates.append(candidate)
        }
        let times = try measure(made.map(\.matrix), group)
        for (seconds, (_, place)) in zip(times, made) { candidates[place].seconds = seconds }

        // Of those as fast as the fastest the most exact one; the next, where another matrix of the group refuses it.
        var left = made.map(\.place)
        while !left.isEmpty {
            let fastest = left.map { candidates[$0].seconds ?? .infinity }.min() ?? 0
            let near = left.filter { (candidates[$0].seconds ?? .infinity) <= fastest * (1 + tolerance) }
            let best = near.min {
                (candidates[$0].error ?? 0, candidates[$0].bytes) < (
                    candidates[$1].error ?? 0, candidates[$1].bytes
                )
            }!
            if let refusal = try refusal(of: &candidates[best], group, model, on: pool) {
                candidates[best].refusal = refusal
                left.removeAll { $0 == best }
                continue
            }
            candidates[best].refusal = nil
            return FormatPlan.Choice(
                rows: group.rows, columns: group.columns, source: group.source, zeros: group.zeros,
                format: candidates[best].format, reason: reason(candidates, best, fastest),
                names: group.names,
                candidates: candidates)
        }
        // Float32 holds every weight: there is always one left.
        preconditionFailure("no format for \(group.names[0])")
    }

    /// Looks at the matrices of a group after its first.
    private func refusal(
        of candidate: inout FormatPlan.Candidate, _ group: Group, _ model: Checkpoint, on pool: KernelPool
    ) throws -> FormatPlan.Refusal? {
        for name in group.names.dropFirst() {
            let source = try model.matrix(name)
            guard let matrix = try converted(source, candidate.format, name, on: pool) else { return .range }
            let error = matrix.relativeError(of: source, on: pool)
            candidate.error = max(candidate.error ?? 0, error)
            if error > maxWeightError { return .error }
            if !keepsZeros(source, matrix, group.zeros, on: pool) { return .zeros }
        }
        return nil
    }

    /// nil where a weight is too large for the format.
    private func converted(
        _ matrix: WeightMatrix, _ format: WeightFormat, _ name: String, on pool: KernelPool
    ) throws -> WeightMatrix? {
        guard format != matrix.format else { return matrix }
        do {
            return format.isMasked
                ? try matrix.maskingZeros(in: format, group: group, on: pool, name: name)
                : try matrix.converted(to: format, group: group, on: pool, name: name)
        } catch WeightError.notFinite { return nil }
    }

    /// A few zeros are weights like others; more are pruned ones.
    private func keepsZeros(
        _ source: WeightMatrix, _ matrix: WeightMatrix, _ zeros: Double, on pool: KernelPool
    ) -> Bool {
        zeros < 0.01 && !source.format.isMasked || matrix.zeros(on: pool) >= source.zeros(on: pool)
    }

    private func reason(_ candidates: [FormatPlan.Candidate], _ best: Int, _ fastest: Double) -> String {
        let chosen = candidates[best]
        let error = "error \(Format.percent(chosen.error ?? 0, 2))"
        let time = chosen.seconds ?? 0
        var text = time > fastest ? "as fast as the fastest and more exact" : "the fastest within the bound"
        let rivals = candidates.indices.filter { $0 != best && candidates[$0].seconds != nil }
        if let second = rivals.min(by: { candidates[$0].seconds! < candidates[$1].seconds! }) {
            let ratio = (candidates[second].seconds ?? 0) / time
            text += ": \(Format.fixed(ratio, 2)) times the speed of \(candidates[second].format.name)"
        }
        return text + ", \(error)"
    }
}

extension WeightMatrix {
    /// ‖W - V‖ / ‖W‖ of this matrix V and W, the one that it was made of, over all weights, in float64.
    public func relativeError(of original: WeightMatrix, on pool: KernelPool) -> Double {
        precondition(
            rows == original.rows && columns == original.columns,
            "[\(rows), \(columns)] against [\(original.rows), \(original.columns)]")
        guard self !== original else { return 0 }
        var (difference, norm) = (0.0, 0.0)
        let rowsAtOnce = max(1, 1 << 20 / columns)
        for first in stride(from: 0, to: rows, by: rowsAtOnce) {
            let run = first..<min(rows, first + rowsAtOnce)
            let (a, b) = (original.floats(rows: run, on: pool), floats(rows: run, on: pool))
            for index in a.indices {
                let distance = Double(a[index]) - Double(b[index])
                difference += distance * distance
                norm += Double(a[index]) * Double(a[index])
            }
        }
        return norm > 0 ? (difference / norm).squareRoot() : difference > 0 ? .infinity : 0
    }
}
