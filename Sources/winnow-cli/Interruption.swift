import Glibc
import Synchronization

/// Ctrl-C, termination and closed pipes: partial outputs are removed, then the process ends with 128 + signal.
///
/// The signal handler writes the signal's number into a pipe; a thread that waits there does the work, because
/// almost nothing is allowed inside a handler. A second signal ends the process at once.
enum Interruption {
    private static let pending = Atomic<Bool>(false)

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
                var number: UInt8 = 0
                while read(interruptionPipe.0, &number, 1) != 1 {}
                Interruption.end(status: 128 + Int32(number))
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
