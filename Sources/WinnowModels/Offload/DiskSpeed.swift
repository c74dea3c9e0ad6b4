import WinnowCore
import WinnowWeights

/// How fast a disk gives the weights that will be streamed: read as they will be, one read after another.
enum DiskSpeed {
    private static let mostBytes = 256 << 20
    private static let mostSeconds = 0.5

    /// Bytes a second over the first 256 MiB or half a second, whichever ends first.
    ///
    /// - Throws: ``WeightStoreError``, `FileError` when there is no memory for a read.
    static func measure(_ stages: [WeightStage], _ readers: [String: any RangeReader]) throws -> Double {
        let memory = try Storage.pages(byteCount: stages.map(\.slotBytes).max() ?? 0)
        // Memory that is written for the first time has to be found first: not the disk's fault.
        UnsafeMutableRawPointer(mutating: memory.base)
            .initializeMemory(as: UInt8.self, repeating: 0, count: memory.byteCount)
        let clock = ContinuousClock()
        let start = clock.now
        var bytes = 0
        for stage in stages where bytes < mostBytes && (clock.now - start) / .seconds(1) < mostSeconds {
            _ = try stage.load(readers, into: memory)
            bytes += stage.slotBytes
        }
        return Double(bytes) / max((clock.now - start) / .seconds(1), 1e-9)
    }
}
