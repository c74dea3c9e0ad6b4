import Synchronization
import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Weights that come from disk each time they are used: a ring of buffers, filled by a thread of its own while the
/// stage before is computed with.
///
/// With a read time r and a compute time c a stage takes max(r, c) instead of r + c. What is read next is what
/// followed the last time, so that steps with and without logits both find their stages.
///
/// - Source: ZeRO-Inference, arXiv 2207.00032, section 5: prefetching by the order of use.
/// - Departure: one device and one link; the trace is the successor of each stage, kept up to date.
package final class WeightStream: Sendable {
    /// What a stream has done so far.
    package struct Statistics: Sendable, Equatable {
        package var bytesRead = 0
        /// Bytes of stages that were read and then not asked for.
        package var bytesDropped = 0
        /// Seconds that the disk was read.
        package var readSeconds = 0.0
        /// Seconds that computing waited for stages.
        package var waitSeconds = 0.0

        package init() {}
    }

    private let ring: Ring

    /// - Parameter slots: buffers, 2 or more; as large as the largest stage.
    /// - Parameter readers: of every file of the stages.
    /// - Throws: ``FileError`` when there is no memory for the ring.
    package init(_ stages: [WeightStage], slots: Int = 2, readers: [String: any RangeReader])
        throws(FileError)
    {
        precondition(slots > 1 && stages.count > slots, "\(stages.count) stages in \(slots) buffers")
        let bytes = stages.map(\.slotBytes).max() ?? 0
        var storages: [Storage] = []
        for _ in 0..<slots { storages.append(try Storage.pages(byteCount: bytes)) }
        ring = Ring(stages, storages, readers)
        ring.start()
    }

    deinit { ring.close() }

    package var stages: [WeightStage] { ring.stages }
    package var slots: [Storage] { ring.slots }
    package var statistics: Statistics { ring.state.withLock { $0.statistics } }

    /// Waits until a stage is in memory. It stays there until another one is asked for.
    ///
    /// - Returns: the slot that holds it.
    /// - Throws: ``WeightStoreError``; asked again, the stage is read again.
    package func acquire(_ stage: Int) throws(WeightStoreError) -> Int { try ring.acquire(stage) }
}

/// What the reading thread holds: it goes when the stream has gone.
private final class Ring: Sendable {
    enum Content {
        case empty
        case filling(stage: Int)
        case full(stage: Int)
        case failed(stage: Int, WeightStoreError)
    }

    struct State {
        var contents: [Content]
        /// Slots in the order in which they were given to the reader.
        var order: [Int] = []
        /// The slot that is computed with.
        var held: Int?
        /// What followed each stage the last time.
        var following: [Int]
        /// What the reader takes next; nil: nothing until a stage is asked for.
        var next: Int?
        var isClosed = false
        var statistics = WeightStream.Statistics()
    }

    let stages: [WeightStage]
    let slots: [Storage]
    private let readers: [String: any RangeReader]
    let state: Mutex<State>
    private let work = Semaphore()
    private let ready = Semaphore()

    init(_ stages: [WeightStage], _ slots: [Storage], _ readers: [String: any RangeReader]) {
        self.stages = stages
        self.slots = slots
        self.readers = readers
        state = Mutex(
            State(
                contents: slots.map { _ in .empty }, following: stages.indices.map { ($0 + 1) % stages.count }
            ))
    }

    func close() {
        state.withLock { $0.isClosed = true }
        work.signal()
    }

    // MARK: The computing thread

    func acquire(_ stage: Int) throws(WeightStoreError) -> Int {
        let isHeld = state.withLock { state -> Int? in
            if let held = state.held, case .full(stage) = state.contents[held] { return held }
            if let held = state.held, case .full(let last) = state.contents[held] {
                state.following[last] = stage
                state.release(held)
            }
            state.held = nil
            state.expect(stage, stages)
            return nil
        }
        if let isHeld { return isHeld }
        work.signal()
        let clock = ContinuousClock()
        let start = clock.now
        defer { state.withLock { $0.statistics.waitSeconds += (clock.now - start) / .seconds(1) } }
        while true {
            let found = state.withLock { state -> Result<Int, WeightStoreError>? in
                for slot in state.order {
                    switch state.contents[slot] {
                    case .full(stage):
                        state.held = slot
                        return .success(slot)
                    case .failed(stage, let error):
                        state.release(slot)
                        return .failure(error)
                    default: break
                    }
                }
                return nil
            }
            if let found {
                work.signal()
                return try found.get()
            }
            ready.wait()
        }
    }

    // MARK: The reading thread

    func start() {
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { raw in
                #if canImport(Darwin)
                    Unmanaged<Ring>.fromOpaque(raw).takeRetainedValue().read()
                #else
                    Unmanaged<Ring>.fromOpaque(raw!).takeRetainedValue().read()
                #endif
                return nil
            }, context.toOpaque())
        precondition(code == 0, "the system refuses a thread: \(code)")
        #if canImport(Darwin)
            if let thread { pthread_detach(thread) }
        #else
            pthread_detach(thread)
        #endif
    }

    private func read() {
        while true {
            let (job, isClosed) = state.withLock { ($0.take(), $0.isClosed) }
            if isClosed { return }
            guard let (slot, stage) = job else {
                work.wait()
                continue
            }
            let clock = ContinuousClock()
            let start = clock.now
            var outcome = Content.empty
            do throws(WeightStoreError) {
                let isWhole = try stages[stage].read(into: slots[slot], readers) {
                    state.withLock { !$0.isClosed && $0.isFilling(slot, with: stage) }
                }
                if isWhole { outcome = .full(stage: stage) }
            } catch { outcome = .failed(stage: stage, error) }
            state.withLock { state in
                state.statistics.readSeconds += (clock.now - start) / .seconds(1)
                state.finish(slot, stage, outcome, bytes: stages[stage].slotBytes)
            }
            ready.signal()
        }
    }
}

extension Ring.State {
    mutating func release(_ slot: Int) {
        contents[slot] = .empty
        order.removeAll { $0 == slot }
    }

    /// Makes way for a stage: what was read before it is dropped, and where nothing is on its way to it the reader is
    /// sent there.
    mutating func expect(_ stage: Int, _ stages: [WeightStage]) {
        let place = order.firstIndex { slot in
            switch contents[slot] {
            case .full(stage), .filling(stage): true
            default: false
            }
        }
        for slot in order[..<(place ?? order.endIndex)] {
            if case .full(let other) = contents[slot] {
                statistics.bytesDropped += stages[other].slotBytes
            }
            // A slot that is being filled comes back when the reader sees that it is not wanted.
            if case .filling = contents[slot] { contents[slot] = .filling(stage: -1) } else { release(slot) }
        }
        if place == nil { next = stage }
    }

    /// A slot to fill and what with; nil: nothing to do.
    mutating func take() -> (slot: Int, stage: Int)? {
        guard !isClosed, let stage = next,
            let slot = contents.indices.first(where: { if case .empty = contents[$0] { true } else { false } }
            )
        else { return nil }
        contents[slot] = .filling(stage: stage)
        order.append(slot)
        next = following[stage]
        return (slot, stage)
    }

    func isFilling(_ slot: Int, with stage: Int) -> Bool {
        if case .filling(stage) = contents[slot] { true } else { false }
    }

    fileprivate mutating func finish(_ slot: Int, _ stage: Int, _ outcome: Ring.Content, bytes: Int) {
        guard isFilling(slot, with: stage) else { return release(slot) }
        contents[slot] = outcome
        switch outcome {
        case .full: statistics.bytesRead += bytes
        // Nothing is read ahead of what failed.
        case .failed: next = nil
        default: release(slot)
        }
    }
}
