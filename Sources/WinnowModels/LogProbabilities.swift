import CWinnow

/// Log-probabilities out of logits.
public enum LogProbabilities {
    /// log(sum(exp(x))), sums in float64.
    public static func logSumExp(_ logits: UnsafeBufferPointer<Float>) -> Double {
        wn_log_sum_exp(logits.baseAddress, logits.count)
    }
}
