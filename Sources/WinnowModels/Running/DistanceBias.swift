import WinnowCore

/// What is added to the scores of attention, for each head by the distance of a slot from the row.
final class DistanceBias {
    /// `[heads, 2 * longest - 1]`: distances from 1 - longest on.
    private let table: Buffer<Float>
    private let longest: Int

    /// nil for a model without.
    init?(_ model: LanguageModel) {
        guard let trait = model.configuration.traits.relativeBias,
            let matrix = model.embeddingParts.relativeBias?.matrix
        else { return nil }
        longest = model.configuration.tokenLimit
        let heads = matrix.columns
        var values = [Float](repeating: 0, count: matrix.rows * heads)
        values.withUnsafeMutableBufferPointer { values in
            for row in 0..<matrix.rows { matrix.row(row, into: values.baseAddress! + row * heads) }
        }
        let stride = 2 * longest - 1
        var table = Buffer<Float>(count: heads * stride)
        let longest = longest
        table.withMutableElements { table in
            for index in 0..<stride {
                let bucket = trait.bucket(of: index + 1 - longest)
                for head in 0..<heads { table[head * stride + index] = values[bucket * heads + head] }
            }
        }
        self.table = table
    }

    var stride: Int { 2 * longest - 1 }

    /// What a row adds to slots 0, 1, ...; the next head's stands ``stride`` further.
    func values(at position: Int) -> UnsafePointer<Float> {
        precondition(position < longest, "position \(position) of \(longest)")
        return UnsafePointer(table.base) + (longest - 1 - position)
    }
}
