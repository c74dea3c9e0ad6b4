import Glibc
import Synchronization
import WinnowCore

/// Ctrl-C, termination and closed pipes: partial outputs are removed, then the process ends with 128 + signal.
///
/// Work that can stop between two of its steps and still say what it has done (generation) takes Ctrl-C as a
/// ``CancellationFlag`` instead.
///
/// The signal handler writes the signal's number into a pipe; a thread that waits there does the work, because
/// almost nothing is allowed inside a handler. A second signal ends the process at once.
enum Interruption {
    private static let pending = Atomic<Bool>(false)
    private static let stoppable = Mutex<CancellationFlag?>(nil)

    static func install() {
        signal(SIGPIPE, SIG_IGN)
        // A file over the process's size limit is an error to report, not a reason to die.
        signal(SIGXFSZ, SIG_IGN)
        interruptionSeen = 0
        guard pipe(&interruptionPipe) == 0 else { return }
        for descriptor in [interruptionPipe.0, interruptionPipe.1] {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { _ in
                while true {
                    var number: UInt8 = 0
                    while read(interruptionPipe.0, &number, 1) != 1 {}
                    guard Int32(number) == SIGINT, Interruption.stop() else {
                        Interruption.end(status: 128 + Int32(number))
                    }
                    interruptionSeen = 0
                }
            }, nil)
        guard status == 0 else { return }
        pthread_detach(thread)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // A signal that the parent chose to ignore (nohup) stays ignored.
            var old = sigaction()
            sigaction(number, nil, &old)
            if unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self) == 1 { continue }
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                if interruptionSeen != 0 { _exit(128 + number) }
                interruptionSeen = 1
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(interruptionPipe.1, &byte, 1)
            }
            sigemptyset(&action.sa_mask)
            action.sa_flags = SA_RESTART
            sigaction(number, &action, nil)
        }
    }

    /// Runs work that Ctrl-C only asks to stop; a second Ctrl-C ends the process.
    ///
    /// - Returns: what the work gave, and whether it was asked to stop.
    static func stopping<Result>(
        _ work: (CancellationFlag) async throws -> Result
    ) async rethrows -> (result: Result, wasInterrupted: Bool) {
        let flag = CancellationFlag()
        stoppable.withLock { $0 = flag }
        defer { stoppable.withLock { $0 = nil } }
        let result = try await work(flag)
        return (result, flag.isCancelled)
    }

    /// Asks the work at hand to stop; false when there is none, or it was asked before.
    private static func stop() -> Bool {
        stoppable.withLock { flag in
            guard let flag, !flag.isCancelled else { return false }
            flag.cancel()
            return true
        }
    }

    /// Cleans up and ends the process without running anything else.
    static func end(status: Int32) -> Never {
        pending.store(true, ordering: .relaxed)
        PartialOutputs.cleanUp()
        _exit(status)
    }

    /// Blocks for good once the process is ending: work that fails because its files were removed stays silent.
    static func waitIfPending() {
        while pending.load(ordering: .relaxed) { pause() }
    }
}

// Initialised by `install`, before a handler can touch them.
nonisolated(unsafe) private var interruptionPipe: (Int32, Int32) = (-1, -1)
nonisolated(unsafe) private var interruptionSeen: sig_atomic_t = 0

private func pipe(_ ends: inout (Int32, Int32)) -> Int32 {
    withUnsafeMutableBytes(of: &ends) { pipe($0.baseAddress?.assumingMemoryBound(to: Int32.self)) }
}
