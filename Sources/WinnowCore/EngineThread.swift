import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An operating-system thread that runs one actor's jobs in order: kernels block it, never the
/// cooperative pool.
public final class EngineThread: SerialExecutor {
    private final class Queue: Sendable {
        // A pthread mutex and condition: waiting must put this thread to sleep, which no async primitive does.
        private struct State: ~Copyable {
            var jobs: [UnownedJob] = []
            var isClosed = false
        }
        private let state = Mutex(State())
        private let wakeUp: Semaphore

        init() { wakeUp = Semaphore() }

        func push(_ job: UnownedJob) {
            state.withLock { $0.jobs.append(job) }
            wakeUp.signal()
        }

        func close() {
            state.withLock { $0.isClosed = true }
            wakeUp.signal()
        }

        /// Jobs to run, in order; nil when closed and empty. Sleeps while there is nothing to do.
        func take() -> [UnownedJob]? {
            while true {
                let (jobs, closed) = state.withLock { state -> ([UnownedJob], Bool) in
                    let jobs = state.jobs
                    state.jobs = []
                    return (jobs, state.isClosed)
                }
                if !jobs.isEmpty { return jobs }
                if closed { return nil }
                wakeUp.wait()
            }
        }
    }

    private let queue = Queue()

    public init(name: String = "winnow-engine") {
        let context = Unmanaged.passRetained(EngineThread.Start(queue: queue, executor: nil))
        context.takeUnretainedValue().executor = Unmanaged.passUnretained(self).toOpaque()
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 8 << 20)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let code = pthread_create(
            &thread, &attributes,
            { raw in
                let start = Unmanaged<EngineThread.Start>.fromOpaque(raw!).takeRetainedValue()
                start.loop()
                return nil
            }, context.toOpaque())
        pthread_attr_destroy(&attributes)
        precondition(code == 0, "the system refuses a thread: \(code)")
    }

    deinit { queue.close() }

    public func enqueue(_ job: consuming ExecutorJob) { queue.push(UnownedJob(job)) }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// What the thread needs: the queue it owns a share of, and the executor's identity.
    private final class Start {
        let queue: Queue
        var executor: UnsafeMutableRawPointer?

        init(queue: Queue, executor: UnsafeMutableRawPointer?) {
            self.queue = queue
            self.executor = executor
        }

        func loop() {
            while let jobs = queue.take() {
                for job in jobs {
                    // A job keeps its actor alive, and the actor its executor.
                    let executor = Unmanaged<EngineThread>.fromOpaque(executor!).takeUnretainedValue()
                    job.runSynchronously(on: executor.asUnownedSerialExecutor())
                }
            }
        }
    }
}
