import WinnowCore
import WinnowWeights

extension StoredForm {
    /// New values for a matrix, as training leaves them: in this form, under their mask.
    ///
    /// - Parameter values: float32, `[rows, columns]`, zero where the mask prunes.
    /// - Parameter matrix: what they replace; ``source`` keeps its grid, scales as they were.
    /// - Throws: `WeightError` for a weight that the format cannot hold.
    public func store(
        _ values: WeightMatrix, under mask: SparsityMask?, inPlaceOf matrix: WeightMatrix, name: String,
        on pool: KernelPool
    ) throws -> WeightMatrix {
        var layer = LinearWeights(name: name, matrix: matrix, form: self, on: pool)
        layer.replace(with: values, mask: mask)
        return try store(layer) ?? values
    }
}
