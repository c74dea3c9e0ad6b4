import Glibc
import Synchronization
import WinnowJSON
import WinnowTestKit

/// The built `winnow`, run as a child process: what a user at a terminal meets.
final class CommandRun {
    struct Ending: Equatable {
        /// The exit status, or 128 + n after signal n.
        var status: Int32
        var output: String
        var errors: String

        /// Lines of standard error.
        var errorLines: [Substring] { errors.split(separator: "\n") }

        /// The one JSON object that standard output must be.
        func json() throws -> JSONValue { try JSONValue(parsing: output) }
    }

    /// `winnow` beside the test bundle; nil when only tests were built.
    static let executable: String? = {
        var buffer = [CChar](repeating: 0, count: 4096)
        guard readlink("/proc/self/exe", &buffer, buffer.count - 1) > 0 else { return nil }
        let own = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let candidates = [own] + CommandLine.arguments.filter { $0.contains(".xctest") }
        for path in candidates {
            guard let slash = path.lastIndex(of: "/") else { continue }
            let beside = path[..<slash] + "/winnow"
            if access(String(beside), X_OK) == 0 { return String(beside) }
        }
        return nil
    }()

    static let hasCurl = String(cString: getenv("PATH")).split(separator: ":").contains {
        access("\($0)/curl", X_OK) == 0
    }

    private let process: pid_t
    private var input: Int32
    private var output: Int32
    private let errors: Int32
    private var outputBytes: [UInt8] = []
    private var errorBytes: [UInt8] = []

    /// Starts the command.
    ///
    /// - Parameter environment: set or, with nil, unset on top of PATH and a home that is not there.
    /// - Parameter limits: what a shell says before it becomes the command: `ulimit -f 8`.
    init(
        _ arguments: [String], environment: [String: String?] = [:], standardOutput: String? = nil,
        limits: String? = nil
    ) throws {
        guard let executable = CommandRun.executable else { throw CommandRunProblem.noExecutable }
        var variables: [String: String] = ["PATH": String(cString: getenv("PATH")), "HOME": "/nonexistent"]
        if let toolchain = getenv("LD_LIBRARY_PATH") {
            variables["LD_LIBRARY_PATH"] = String(cString: toolchain)
        }
        for (name, value) in environment { variables[name] = value }

        // Tests run side by side: a child must not inherit another one's pipes, or they never end.
        (process, input, output, errors) = try DescriptorLock.held {
            guard let limits else {
                return try CommandRun.spawn(executable, arguments, variables, standardOutput)
            }
            let script = ["-c", "\(limits) && exec \"$0\" \"$@\"", executable]
            return try CommandRun.spawn("/bin/sh", script + arguments, variables, standardOutput)
        }
    }

    private static func spawn(
        _ executable: String, _ arguments: [String], _ variables: [String: String], _ standardOutput: String?
    ) throws -> (pid_t, Int32, Int32, Int32) {
        let inputPipe = try DescriptorLock.pipe()
        let outputPipe = try DescriptorLock.pipe()
        let errorPipe = try DescriptorLock.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, inputPipe[0], 0)
        if let standardOutput {
            posix_spawn_file_actions_addopen(&actions, 1, standardOutput, O_WRONLY, 0)
        } else {
            posix_spawn_file_actions_adddup2(&actions, outputPipe[1], 1)
        }
        posix_spawn_file_actions_adddup2(&actions, errorPipe[1], 2)

        var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var identifier = pid_t()
        let code = posix_spawn(&identifier, executable, &actions, nil, &argv, &envp)
        for end in [inputPipe[0], outputPipe[1], errorPipe[1]] { close(end) }
        guard code == 0 else { throw CommandRunProblem.system("posix_spawn", code) }
        return (identifier, inputPipe[1], outputPipe[0], errorPipe[0])
    }

    deinit {
        for end in [input, output, errors] where end >= 0 { close(end) }
    }

    /// Runs the command to its end.
    static func run(
        _ arguments: [String], input: String = "", environment: [String: String?] = [:],
        standardOutput: String? = nil, limits: String? = nil
    ) throws -> Ending {
        let run = try CommandRun(
            arguments, environment: environment, standardOutput: standardOutput, limits: limits)
        run.send(input)
        run.closeInput()
        return try run.ending()
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(input, bytes, bytes.count)
    }

    func closeInput() {
        close(input)
        input = -1
    }

    func signal(_ number: Int32) { kill(process, number) }

    /// The most memory that the process has held so far, in bytes; 0 when it has ended.
    var peakBytes: Int {
        let status = String(decoding: TinyModel.contents("/proc/\(process)/status"), as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") }.map { $0 * 1024 } ?? 0
    }

    /// Waits until standard output holds a text; true when it came before the end and the limit.
    func waitForOutput(seconds: Double = 60, _ isEnough: (String) -> Bool) -> Bool {
        let limit = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < limit {
            if isEnough(String(decoding: outputBytes, as: UTF8.self)) { return true }
            if !readSome(milliseconds: 100) { return isEnough(String(decoding: outputBytes, as: UTF8.self)) }
        }
        return false
    }

    /// Closes the reading end of standard output, as `head` does.
    func abandonOutput() {
        close(output)
        output = -1
        isOutputOpen = false
    }

    /// Reads to the end and waits; a command that takes longer than the limit is ended.
    ///
    /// - Parameter watch: called while the command runs, at least every 20 ms.
    func ending(seconds: Double = 120, watch: (() -> Void)? = nil) throws -> Ending {
        let limit = ContinuousClock.now + .seconds(seconds)
        while readSome(milliseconds: watch == nil ? 100 : 20) {
            watch?()
            guard ContinuousClock.now < limit else {
                kill(process, SIGKILL)
                var status: Int32 = 0
                waitpid(process, &status, 0)
                throw CommandRunProblem.tooLong(
                    String(decoding: outputBytes, as: UTF8.self), String(decoding: errorBytes, as: UTF8.self))
            }
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return Ending(
            status: signal == 0 ? (status >> 8) & 0xFF : 128 + signal,
            output: String(decoding: outputBytes, as: UTF8.self),
            errors: String(decoding: errorBytes, as: UTF8.self))
    }

    private var isOutputOpen = true
    private var areErrorsOpen = true

    /// - Returns: false when both streams have ended.
    private func readSome(milliseconds: Int32) -> Bool {
        guard isOutputOpen || areErrorsOpen else { return false }
        var ends = [
            pollfd(fd: isOutputOpen ? output : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: areErrorsOpen ? errors : -1, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&ends, 2, milliseconds) > 0 else { return true }
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        if ends[0].revents != 0 {
            let count = read(output, &chunk, chunk.count)
            if count > 0 { outputBytes += chunk[..<count] } else { isOutputOpen = false }
        }
        if ends[1].revents != 0 {
            let count = read(errors, &chunk, chunk.count)
            if count > 0 { errorBytes += chunk[..<count] } else { areErrorsOpen = false }
        }
        return true
    }
}

/// Makes descriptors that no child inherits: they are marked before the lock lets anybody spawn.
enum DescriptorLock {
    private static let lock = Mutex(())

    static func held<Result>(_ body: () throws -> Result) rethrows -> Result {
        try lock.withLock { _ in try body() }
    }

    /// For use inside ``held(_:)``.
    static func pipe() throws -> [Int32] {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw CommandRunProblem.system("pipe", errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return ends
    }
}

enum CommandRunProblem: Error {
    case noExecutable
    case system(String, Int32)
    case tooLong(String, String)
}
