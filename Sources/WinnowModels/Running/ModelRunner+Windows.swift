import WinnowCore
import WinnowWeights

extension ModelRunner {
    /// Runs one block over windows of hidden states, in place: how one-shot pruning walks a model.
    ///
    /// - Parameter hidden: `[windows * length, width]`.
    /// - Parameter observer: called for each tap point, window by window in order.
    /// - Parameter keepsInput: leaves `hidden` as it was, and computes only what the taps see.
    /// - Parameter lastTap: with `keepsInput`, the last point that the observer wants; nil: the block's last.
    public func runBlock(
        _ index: Int, hidden: UnsafeMutableBufferPointer<Float>, windows: Int, length: Int,
        observer: ((TapValues) -> Void)? = nil, keepsInput: Bool = false, lastTap: TapPoint? = nil,
        cancellation: CancellationFlag? = nil
    ) throws {
        let width = model.configuration.width
        precondition(
            hidden.count == windows * length * width, "\(hidden.count) values for \(windows) windows")
        try bindIfChanged()
        let together = max(1, configuration.chunk / length)
        let sequences = (0..<min(together, windows)).map { _ in makeSequence(capacity: length) }
        for firstWindow in stride(from: 0, to: windows, by: together) {
            if let cancellation, cancellation.isCancelled { throw ModelError.cancelled }
            let count = min(together, windows - firstWindow)
            for sequence in sequences { sequence.reset() }
            // One window may be longer than a step: then it takes several, one after another.
            for start in stride(from: 0, to: length, by: configuration.chunk) {
                let part = min(configuration.chunk, length - start)
                let base = hidden.baseAddress! + (firstWindow * length + start) * width
                begin()
                for window in 0..<count {
                    for position in 0..<part { space.positions[rows + position] = Int32(start + position) }
                    (space.hidden + rows * width).update(
                        from: base + window * length * width, count: part * width)
                    addSpan(sequences[window], count: part)
                }
                try loadBlock(index)
                runBlock(index, observer: observer, lastTap: keepsInput ? lastTap ?? .feedForwardHidden : nil)
                commit()
                if keepsInput { continue }
                for span in spans.enumerated() {
                    (base + span.offset * length * width).update(
                        from: space.hidden + span.element.firstRow * width, count: part * width)
                }
            }
        }
        begin()
    }
}
