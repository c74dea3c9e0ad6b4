import CWinnow
import Synchronization
import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file or folder that appears under its name when it is complete, or not at all.
///
/// Written as `.NAME.partial-PID` beside, synced, renamed. Dropped without ``commit()``, it removes what was
/// written; what a killed process left behind is removed by the next one that writes the same name.
public final class AtomicOutput {
    public enum Kind: Sendable {
        case file
        case folder
    }

    /// The final name.
    public let path: String
    /// Where to write until then. A folder is there already, a file is not.
    public let partialPath: String
    /// Partial outputs of dead processes that were found and removed.
    public let removedStale: [String]
    private let kind: Kind
    private let overwrite: Bool
    private let parent: String
    private let mark: String
    private var isDone = false

    /// - Parameter mark: a file that a folder must hold to be replaced: nobody's other folder is lost.
    /// - Throws: ``CheckpointError`` when there is something at `path` that may not be replaced, `FileError` when
    ///   nothing can be written beside it.
    public init(_ path: String, _ kind: Kind, overwrite: Bool, mark: String = "config.json") throws {
        let (target, parent, name) = try AtomicOutput.place(path)
        self.path = target
        self.parent = parent
        self.kind = kind
        self.overwrite = overwrite
        self.mark = mark
        let partial = "\(parent)/.\(name).partial-\(getpid())"
        partialPath = partial
        AtomicOutput.restoreMovedAside(in: parent, name: name)
        try AtomicOutput.checkReplaceable(target, kind, overwrite: overwrite, mark: mark)
        guard AtomicOutput.active.withLock({ $0.insert(partial).inserted }) else {
            isDone = true
            removedStale = []
            throw CheckpointError.outputBusy(path: path)
        }
        removedStale = AtomicOutput.removeStale(in: parent, name: name)
        guard kind == .folder, mkdir(partialPath, 0o755) != 0 else { return }
        throw FileError(partialPath, operation: "create", code: errno)
    }

    deinit { discard() }

    /// Puts the output in place of what is there, or where nothing is.
    public func commit() throws {
        precondition(!isDone, "\(path) was committed or discarded before")
        if kind == .folder { try AtomicOutput.sync(folder: partialPath) }
        // An interrupted process removes its outputs from another thread: what is half removed gets no name.
        try AtomicOutput.active.withLock { active in
            guard active.contains(partialPath) else { throw CheckpointError.outputDiscarded(path: path) }
            try putInPlace()
        }
        AtomicOutput.remove(partialPath)
        finish()
        try AtomicOutput.sync(folder: parent)
    }

    /// Gives the output its name; what had it before stands at the partial path then.
    private func putInPlace() throws {
        try AtomicOutput.checkReplaceable(path, kind, overwrite: overwrite, mark: mark)
        if FilePath.kind(path) == nil {
            guard wn_rename_new(partialPath, path) else {
                if errno == EEXIST { throw CheckpointError.outputExists(path: path) }
                throw FileError(path, operation: "create", code: errno)
            }
        } else if kind == .file {
            guard rename(partialPath, path) == 0 else { throw FileError(path, operation: "replace", code: errno) }
        } else {
            try exchange()
        }
    }

    /// Removes what was written; called by itself when the output is dropped.
    public func discard() {
        guard !isDone else { return }
        AtomicOutput.remove(partialPath)
        finish()
    }

    /// Removes what every output of this process has written so far: for a process that must end now, while
    /// other threads may still be writing.
    ///
    /// - Parameter folder: only outputs beside or below it; nil for all.
    public static func discardAll(under folder: String? = nil) {
        let doomed = active.withLock { active in
            let doomed = active.filter { folder.map($0.hasPrefix) ?? true }
            active.subtract(doomed)
            return doomed
        }
        for path in doomed {
            // A writer may add a file between the listing of a folder and its removal.
            for _ in 0..<100 where kind(of: path) != nil { remove(path) }
        }
    }

    private func finish() {
        isDone = true
        _ = AtomicOutput.active.withLock { $0.remove(partialPath) }
    }

    private func exchange() throws {
        if !wn_rename_exchange(partialPath, path) {
            guard errno == EINVAL || errno == ENOSYS || errno == ENOTSUP else {
                throw FileError(path, operation: "replace", code: errno)
            }
            // A file system that cannot exchange: for a moment there is nothing under the name.
            let aside = "\(partialPath).old"
            guard rename(path, aside) == 0 else { throw FileError(path, operation: "replace", code: errno) }
            guard rename(partialPath, path) == 0 else {
                let code = errno
                rename(aside, path)
                throw FileError(path, operation: "replace", code: code)
            }
            rename(aside, partialPath)
        }
    }

    // MARK: What is there

    /// Outputs that this process is writing.
    private static let active = Mutex<Set<String>>([])

    /// Whether an output can be put at `path`: asked before long work, whose result would find no place.
    ///
    /// - Throws: what ``init(_:_:overwrite:mark:)`` does.
    public static func check(
        _ path: String, _ kind: Kind, overwrite: Bool, mark: String = "config.json"
    ) throws {
        let (target, parent, _) = try place(path)
        try checkReplaceable(target, kind, overwrite: overwrite, mark: mark)
        guard access(parent, W_OK) == 0 else { throw FileError(path, operation: "create", code: errno) }
    }

    /// Where an output goes: the path with links followed, the folder that it is in, and its name there.
    private static func place(
        _ path: String
    ) throws(CheckpointError) -> (path: String, parent: String, name: String) {
        let target = resolved(path)
        let (parent, name) = FilePath.split(target)
        guard !name.isEmpty, name != "/", name != ".", name != ".." else {
            throw .badOutput(path: path, reason: "it has no name of its own")
        }
        guard FilePath.kind(parent) == .folder else {
            throw .badOutput(path: path, reason: "there is no folder \(parent); make it first")
        }
        return (target, parent, name)
    }

    /// The path itself, or what it links to, so that links stay.
    private static func resolved(_ path: String) -> String {
        guard kind(of: path) == S_IFLNK, let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func checkReplaceable(
        _ path: String, _ kind: Kind, overwrite: Bool, mark: String
    ) throws(CheckpointError) {
        guard let found = FilePath.kind(path) else { return }
        guard overwrite else { throw .outputExists(path: path) }
        switch (kind, found) {
        case (.file, .file): return
        case (.folder, .folder):
            let entries = FilePath.entries(path)
            guard entries.isEmpty || entries.contains(mark) && !entries.contains(".git") else {
                throw .notReplaceable(path: path)
            }
        case (.file, _): throw .badOutput(path: path, reason: "it is not a file; choose another name")
        case (.folder, _): throw .badOutput(path: path, reason: "it is not a folder; choose another name")
        }
    }

    /// Gives back its name to what a process that died inside ``exchange()`` had moved aside: the only copy.
    private static func restoreMovedAside(in parent: String, name: String) {
        guard kind(of: "\(parent)/\(name)") == nil else { return }
        for entry in FilePath.entries(parent)
        where entry.hasPrefix(".\(name).partial-") && entry.hasSuffix(".old") {
            guard rename("\(parent)/\(entry)", "\(parent)/\(name)") != 0 else { return }
        }
    }

    private static func removeStale(in parent: String, name: String) -> [String] {
        let prefix = ".\(name).partial-"
        var removed: [String] = []
        for entry in FilePath.entries(parent) where entry.hasPrefix(prefix) {
            let digits = entry.dropFirst(prefix.count).prefix { $0.isNumber }
            guard let process = pid_t(digits), process > 0 else { continue }
            let isAlive = process != getpid() && (kill(process, 0) == 0 || errno == EPERM)
            guard !isAlive else { continue }
            remove("\(parent)/\(entry)")
            removed.append("\(parent)/\(entry)")
        }
        return removed
    }

    private static func kind(of path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// Removes a file, or a folder with all that is in it; links are not followed.
    package static func remove(_ path: String) {
        guard let kind = kind(of: path) else { return }
        guard kind == S_IFDIR else {
            unlink(path)
            return
        }
        for entry in FilePath.entries(path) { remove("\(path)/\(entry)") }
        rmdir(path)
    }

    private static func sync(folder: String) throws(FileError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(folder, operation: "open", code: errno) }
        defer { close(descriptor) }
        // Some file systems cannot sync folders and say EINVAL.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw FileError(folder, operation: "write", code: errno)
        }
    }
}
