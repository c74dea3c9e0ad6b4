/// How much each weight of a row matters: what a method compares. Larger is kept.
public protocol SaliencyScore: Sendable {
    /// Turns a row's weights into their scores, in place; called by several workers.
    ///
    /// - Returns: false when a score is NaN or infinite.
    func score(_ row: UnsafeMutableBufferPointer<Float>) -> Bool
}
