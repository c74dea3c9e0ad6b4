import Synchronization
import Testing
import WinnowCore

@Suite struct KernelPoolTests {
    @Test(arguments: [1, 2, 4, 7]) func runsEachChunkOnce(_ threads: Int) throws {
        let pool = try KernelPool(threads: threads)
        #expect(pool.threads == threads)
        for chunks in [0, 1, 2, 3, 64, 1000] {
            let counts = Mutex([Int](repeating: 0, count: chunks))
            pool.run(chunks: chunks) { chunk, worker in
                counts.withLock { $0[chunk] += 1 }
                #expect(worker >= 0 && worker < threads)
            }
            #expect(counts.withLock { $0 } == [Int](repeating: 1, count: chunks))
        }
    }

    /// What workers wrote is seen when a job ends: many short jobs, each reading what the one before wrote.
    @Test func everyJobSeesTheOneBefore() throws {
        let pool = try KernelPool(threads: 4)
        var values = Buffer<Int>(count: 8)
        values.withMutableElements { elements in
            let elements = SendableElements(elements)
            for round in 0..<2000 {
                pool.run(chunks: 8) { chunk, _ in
                    if elements[chunk] == round { elements[chunk] += 1 }
                }
            }
        }
        values.withElements { #expect(Array($0) == [Int](repeating: 2000, count: 8)) }
    }

    /// A worker that comes late to a job of few chunks must not take a chunk of the next one, which has more, before it
    /// begins: it would run twice, or after its job has ended.
    @Test(arguments: [3, 4, 8]) func lateWorkersTakeNoChunkOfTheNextJob(_ threads: Int) throws {
        let pool = try KernelPool(threads: threads)
        let ran = Atomic<Int>(0)
        var expected = 0
        for job in 0..<100_000 {
            let chunks = job.isMultiple(of: 2) ? 2 : 64
            pool.run(chunks: chunks) { _, _ in ran.add(1, ordering: .relaxed) }
            expected += chunks
        }
        #expect(ran.load(ordering: .relaxed) == expected)
    }

    @Test func sleepsBetweenJobsAndWakes() async throws {
        let pool = try KernelPool(threads: 3)
        for _ in 0..<5 {
            try await Task.sleep(for: .milliseconds(20))
            let count = Atomic<Int>(0)
            pool.run(chunks: 30) { _, _ in count.add(1, ordering: .relaxed) }
            #expect(count.load(ordering: .relaxed) == 30)
        }
    }

    @Test func fewerThanOneThreadIsOne() throws {
        #expect(try KernelPool(threads: 0).threads == 1)
        #expect(try KernelPool(threads: -3).threads == 1)
    }

    @Test func tooMuchScratchIsAnError() throws {
        let pool = try KernelPool(threads: 2)
        try pool.reserve(scratch: 1 << 16)
        #expect(throws: KernelPoolError.outOfMemory(bytes: 1 << 60)) { try pool.reserve(scratch: 1 << 60) }
        #expect(
            KernelPoolError.cannotStart(threads: 9).description
                == "cannot start 9 threads: use a smaller --threads")
    }
}

/// Elements that chunks write each in its own place.
private struct SendableElements: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Int>
    init(_ elements: UnsafeMutableBufferPointer<Int>) { base = elements.baseAddress! }
    subscript(index: Int) -> Int {
        get { base[index] }
        nonmutating set { base[index] = newValue }
    }
}
