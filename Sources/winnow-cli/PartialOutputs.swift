import Glibc
import Synchronization
import WinnowIO

/// The outputs being written aside, and the child processes at work: what an interrupted run must clean up.
///
/// Writers add a partial path before they create it and remove it after they renamed it.
enum PartialOutputs {
    private struct State {
        var paths: Set<String> = []
        var children: Set<pid_t> = []
    }

    private static let state = Mutex(State())

    static func add(_ path: String) { _ = state.withLock { $0.paths.insert(path) } }
    static func remove(_ path: String) { _ = state.withLock { $0.paths.remove(path) } }

    static func addChild(_ process: pid_t) { _ = state.withLock { $0.children.insert(process) } }
    static func removeChild(_ process: pid_t) { _ = state.withLock { $0.children.remove(process) } }

    /// Ends the children and removes every partial output.
    static func cleanUp() {
        let ended = state.withLock { state in
            defer { state = State() }
            return state
        }
        for child in ended.children { kill(child, SIGTERM) }
        for path in ended.paths { FileTree.remove(path) }
        AtomicOutput.discardAll()
    }
}
