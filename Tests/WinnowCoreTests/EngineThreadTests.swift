import Testing
import WinnowCore

/// An actor on a thread of its own, which notes the order of what it is asked.
private actor Recorder {
    nonisolated let thread: EngineThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    private(set) var seen: [Int] = []
    private var busy = false
    private(set) var overlapped = false

    init(thread: EngineThread) { self.thread = thread }

    func note(_ value: Int) {
        if busy { overlapped = true }
        busy = true
        seen.append(value)
        busy = false
    }
}

@Suite struct EngineThreadTests {
    @Test func runsJobsInTheOrderTheyWereAsked() async {
        let recorder = Recorder(thread: EngineThread())
        for value in 0..<500 { await recorder.note(value) }
        #expect(await recorder.seen == Array(0..<500))
    }

    @Test func runsOneJobAtATime() async {
        let recorder = Recorder(thread: EngineThread())
        await withTaskGroup(of: Void.self) { group in
            for value in 0..<500 { group.addTask { await recorder.note(value) } }
        }
        #expect(await recorder.seen.sorted() == Array(0..<500))
        #expect(await !recorder.overlapped)
    }

    @Test func servesSeveralActorsAndEndsWithTheLast() async {
        weak var gone: EngineThread?
        do {
            let thread = EngineThread()
            gone = thread
            let first = Recorder(thread: thread), second = Recorder(thread: thread)
            for value in 0..<50 {
                await first.note(value)
                await second.note(-value)
            }
            #expect(await first.seen.count == 50)
            #expect(await second.seen.count == 50)
        }
        // The last job may still be returning on the thread.
        for _ in 0..<200 where gone != nil { try? await Task.sleep(for: .milliseconds(5)) }
        #expect(gone == nil)
    }
}
