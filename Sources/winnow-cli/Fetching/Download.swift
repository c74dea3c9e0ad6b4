import Glibc
import WinnowReport

/// Fetches one address into one file with curl, picking up where an earlier attempt stopped.
struct Download: Sendable {
    let address: String
    let path: String
    /// nil when the server has not said.
    var bytes: Int?
    /// For `Authorization: Bearer`; given to curl on its standard input, never as an argument.
    var token: String?
    let title: String

    /// - Throws: ``DownloadError`` when the server has no such thing or cannot be reached.
    func run(_ progress: ProgressPrinter) async throws {
        if bytes == nil || FileTree.bytes(of: path) != bytes {
            try FileTree.makeDirectories(FileTree.parent(of: path))
            try await transfer(progress)
        }
        if let bytes, FileTree.bytes(of: path) != bytes {
            let actual = FileTree.bytes(of: path)
            FileTree.remove(path)
            throw DownloadError.wrongSize(address: address, expected: bytes, actual: actual)
        }
        progress.update(Progress(title, completed: bytes ?? 1, total: bytes ?? 1, unit: .bytes))
    }

    /// Attempts go on as long as each brings something; one that brings nothing gets one more chance.
    private func transfer(_ progress: ProgressPrinter) async throws {
        var fruitless = 0
        while true {
            let before = FileTree.bytes(of: path)
            let (title, path, bytes) = (title, path, bytes)
            let result = try await ChildProcess.run(
                "curl", Download.arguments + ["--continue-at", "-", "--output", path, "--url", address],
                standardInput: Download.configuration(token: token)
            ) {
                progress.update(
                    Progress(title, completed: FileTree.bytes(of: path), total: bytes, unit: .bytes))
            }
            let code = Int(result.output.trimmed.suffix(3)) ?? 0
            if result.status == 0 { return }
            // The server cannot send a part, or there is nothing left to send: begin again.
            if before > 0, result.status == 33 || code == 416 {
                FileTree.remove(path)
                continue
            }
            if FileTree.bytes(of: path) <= before { fruitless += 1 }
            let error = DownloadError(
                curlStatus: result.status, code: code, address: address, complaint: result.complaint)
            guard error.isTransient, fruitless < 2 else { throw error }
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// A small answer in memory.
    static func text(_ address: String, token: String?) async throws -> String {
        let result = try await ChildProcess.run(
            "curl", arguments + ["--max-time", "20", "--url", address],
            standardInput: configuration(token: token))
        let code = Int(result.output.suffix(3)) ?? 0
        guard result.status == 0 else {
            throw DownloadError(
                curlStatus: result.status, code: code, address: address, complaint: result.complaint)
        }
        return String(result.output.dropLast(3))
    }

    /// Gives up on a connection after 5 seconds, and on a transfer that stands still for 15.
    private static let arguments = [
        "--config", "-", "--fail", "--location", "--silent", "--show-error", "--proto", "=http,https",
        "--proto-redir", "=http,https", "--connect-timeout", "5", "--speed-limit", "1", "--speed-time", "15",
        "--write-out", "%{http_code}",
    ]

    private static func configuration(token: String?) -> String {
        guard let token, token.allSatisfy({ $0.isASCII && !$0.isWhitespace && $0 != "\"" && $0 != "\\" })
        else {
            return ""
        }
        return "header = \"Authorization: Bearer \(token)\"\n"
    }
}

/// Why an address did not give its file.
enum DownloadError: Error, Equatable, CustomStringConvertible {
    case notFound(address: String)
    case refused(address: String, code: Int)
    case unreachable(address: String, reason: String)
    case failed(address: String, reason: String, isTransient: Bool)
    case wrongSize(address: String, expected: Int, actual: Int)
    case wrongSum(path: String, expected: String, actual: String)

    init(curlStatus: Int32, code: Int, address: String, complaint: String) {
        switch (curlStatus, code) {
        case (_, 404), (_, 410): self = .notFound(address: address)
        case (_, 401), (_, 403): self = .refused(address: address, code: code)
        // Names that do not resolve, connections refused or not made in time.
        case (5, _), (6, _), (7, _), (28, 0): self = .unreachable(address: address, reason: complaint)
        default:
            let transient: [Int32] = [16, 18, 28, 35, 52, 55, 56, 92]
            self = .failed(
                address: address, reason: complaint,
                isTransient: transient.contains(curlStatus) || code == 429 || code >= 500)
        }
    }

    var isTransient: Bool {
        if case .failed(_, _, let isTransient) = self { isTransient } else { false }
    }

    var description: String {
        switch self {
        case .notFound(let address): "nothing there: \(address); check the name and the revision"
        case .refused(let address, let code):
            "the server refused (\(code)): \(address); set HF_TOKEN, and accept the model's licence on its page"
        case .unreachable(let address, let reason):
            "cannot reach the server: \(address) (\(reason)); check the network, HF_ENDPOINT and proxies"
        case .failed(let address, let reason, _):
            "the download failed: \(address) (\(reason)); try again, it resumes"
        case .wrongSize(let address, let expected, let actual):
            "wrong size: \(address) gave \(actual) bytes, expected \(expected); the file was removed, try again"
        case .wrongSum(let path, let expected, let actual):
            "wrong sha256: \(path) is \(actual), expected \(expected); the file was removed, try again"
        }
    }
}

/// Checksums of files.
enum Checksum {
    /// The sha256 of a file in hexadecimal.
    static func sha256(of path: String) async throws -> String {
        let result = try await ChildProcess.run("sha256sum", ["--binary", "--", path])
        // A line that starts with a backslash has escapes in its name; the sum is the same.
        let sum = result.output.drop { $0 == "\\" }.prefix(64)
        guard result.status == 0, sum.count == 64 else {
            throw CommandError("cannot read a file to check it", at: path, remedy: result.complaint)
        }
        return String(sum)
    }

    /// Removes the file when it is not what it should be.
    ///
    /// - Throws: ``DownloadError/wrongSum(path:expected:actual:)``.
    static func check(_ path: String, is expected: String) async throws {
        let actual = try await sha256(of: path)
        guard actual == expected.lowercased() else {
            FileTree.remove(path)
            throw DownloadError.wrongSum(path: path, expected: expected, actual: actual)
        }
    }
}
