import Glibc
import Synchronization
import WinnowJSON

/// What a verb answers: text for people, or exactly one JSON object.
enum StandardOutput {
    /// Writes all of the text. A reader that closed the pipe ends the process silently, as SIGPIPE would.
    static func write(_ text: String) {
        write(Array(text.utf8))
    }

    /// Writes bytes as they are: streamed text that may not be whole characters.
    static func write(_ bytes: [UInt8]) {
        guard let failure = bytes.withUnsafeBytes({ writeAll($0, to: STDOUT_FILENO) }) else { return }
        if failure == EPIPE { Interruption.end(status: 128 + SIGPIPE) }
        StandardError.write("error: cannot write to standard output: \(String(cString: strerror(failure)))\n")
        Interruption.end(status: 1)
    }

    /// One JSON object with sorted keys and a newline.
    static func write(_ value: JSONValue) {
        write(value.text(sortedKeys: true, indent: 2) + "\n")
    }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}

/// Where progress, notes and errors go. A closed standard error is not an error.
enum StandardError {
    private static let hasTransient = Mutex(false)

    /// Writes text, in place of a progress bar if one is shown.
    static func write(_ text: String) {
        hasTransient.withLock { hasTransient in
            put(hasTransient ? "\r\u{1B}[K" + text : text)
            hasTransient = false
        }
    }

    /// Draws a line that the next text replaces.
    static func writeTransient(_ text: String) {
        hasTransient.withLock { hasTransient in
            put("\r\u{1B}[K" + text)
            hasTransient = true
        }
    }

    private static func put(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { writeAll($0, to: STDERR_FILENO) }
    }

    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Columns of the terminal, 80 when unknown.
    static var columns: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// - Returns: nil when all was written, else the error number.
private func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32? {
    var rest = bytes
    while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, rest.count)
        if count >= 0 {
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        } else if errno == EAGAIN {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&waiting, 1, -1)
        } else if errno != EINTR {
            return errno
        }
    }
    return nil
}
