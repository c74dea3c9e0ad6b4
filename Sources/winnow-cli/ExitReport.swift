import ArgumentParser

/// How the command ends after an error: a status, and what to print where.
///
/// Help asked for goes to standard output with status 0. Everything else is one line on standard error:
/// status 2 for wrong usage, 1 for work that failed.
struct ExitReport {
    let status: Int32
    private let message: String

    init(_ error: any Error) {
        if let code = error as? ExitCode {
            status = code.rawValue
            message = ""
            return
        }
        let code = Winnow.exitCode(for: error)
        if code == .success {
            status = 0
            message = Winnow.fullMessage(for: error)
        } else if code == .validationFailure {
            status = 2
            let text = ExitReport.oneLine(Winnow.message(for: error))
            let end = text.hasSuffix(".") ? String(text.dropLast()) : text
            message = "error: \(end); see '\(ExitReport.helpCommand()) --help'"
        } else {
            status = 1
            // What checks of options throw comes wrapped by the parser.
            message = "error: \(ExitReport.oneLine(Winnow.message(for: error)))"
        }
    }

    /// Prints, and returns the status to exit with.
    func show() -> Int32 {
        Interruption.waitIfPending()
        if !message.isEmpty {
            if status == 0 {
                StandardOutput.write(message + "\n")
            } else {
                StandardError.write(message + "\n")
            }
        }
        return status
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline)
            .map { $0.drop { $0 == " " } }
            .joined(separator: " ")
    }

    /// `winnow` and the verbs that were typed: where help on a usage error is found.
    private static func helpCommand() -> String {
        var path = ["winnow"]
        var commands = Winnow.configuration.subcommands
        for word in CommandLine.arguments.dropFirst() {
            guard let command = commands.first(where: { $0._commandName == word }) else { break }
            path.append(word)
            commands = command.configuration.subcommands
        }
        return path.joined(separator: " ")
    }
}
