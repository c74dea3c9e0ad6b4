import CWinnow

/// S[i, j] = |W[i, j]|.
public struct MagnitudeScore: SaliencyScore {
    public init() {}

    public func score(_ row: UnsafeMutableBufferPointer<Float>) -> Bool {
        wn_saliency(row.baseAddress, nil, row.count)
    }
}
