import Subprocess

/// Runs the tools that Winnow leans on: curl, pip, sha256sum.
enum ChildProcess {
    struct Result: Sendable {
        /// The exit status; 128 + n after signal n.
        let status: Int32
        let output: String
        let errors: String

        /// The last line of standard error that says something.
        var complaint: String {
            errors.split(whereSeparator: \.isNewline).last { !String($0).trimmed.isEmpty }
                .map { String($0).trimmed } ?? "status \(status)"
        }
    }

    /// Runs a tool to its end; it is ended when this process is.
    ///
    /// - Parameter standardInput: for what must not be seen in the list of processes.
    /// - Parameter whileRunning: called four times a second.
    static func run(
        _ tool: String, _ arguments: [String], environment: [String: String] = [:],
        standardInput: String = "",
        whileRunning: @escaping @Sendable () -> Void = {}
    ) async throws -> Result {
        let ticks = Task {
            while !Task.isCancelled {
                whileRunning()
                try? await Task.sleep(for: .milliseconds(250))
            }
        }
        defer { ticks.cancel() }
        var changes: [Environment.Key: String?] = [:]
        for (key, value) in environment { changes[Environment.Key(stringLiteral: key)] = value }
        do {
            let result = try await Subprocess.run(
                .name(tool), arguments: Arguments(arguments), environment: .inherit.updating(changes),
                input: .string(standardInput), output: .string(limit: 1 << 24), error: .string(limit: 1 << 20)
            ) { execution in
                PartialOutputs.addChild(execution.processIdentifier.value)
            }
            PartialOutputs.removeChild(result.processIdentifier.value)
            let status: Int32
            switch result.terminationStatus {
            case .exited(let code): status = code
            case .signaled(let signal): status = 128 + signal
            }
            return Result(
                status: status, output: result.standardOutput, errors: result.standardError)
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw CommandError("a tool is missing", at: tool, remedy: "install \(packageOf[tool] ?? tool)")
        }
    }

    private static let packageOf = ["python3": "python3 with pip", "sha256sum": "coreutils"]
}
