import Glibc
import Synchronization

/// A small HTTP server on 127.0.0.1 that serves given files, knows ranges, and can misbehave as servers do.
final class LoopbackServer: Sendable {
    struct Request: Sendable, Equatable {
        var path: String
        /// Names in lower case.
        var headers: [String: String]

        /// The first byte asked for.
        var start: Int {
            guard let range = headers["range"], range.hasPrefix("bytes=") else { return 0 }
            return Int(range.dropFirst(6).prefix { $0 != "-" }) ?? 0
        }
    }

    enum Answer: Sendable {
        /// The body from the asked byte on; cut off after so many bytes when `limit` says so.
        case body([UInt8], limit: Int? = nil)
        case status(Int)
        /// Closes without a word.
        case hangUp
        /// Ignores ranges, as simple servers do.
        case wholeBody([UInt8])
    }

    private let socketNumber: Int32
    let port: Int
    private let log = Mutex<[Request]>([])
    private let answer: @Sendable (Request) -> Answer

    var address: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { log.withLock { $0 } }

    /// Serves until it is released.
    init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
        self.answer = answer
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw CommandRunProblem.system("socket", errno) }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(number, address, length) == 0 && listen(number, 16) == 0
                    && getsockname(number, address, &length) == 0
            }
        }
        guard bound else {
            close(number)
            throw CommandRunProblem.system("bind", errno)
        }
        socketNumber = number
        port = Int(UInt16(bigEndian: place.sin_port))
        let holder = Unmanaged.passUnretained(self).toOpaque()
        nonisolated(unsafe) let pointer = holder
        thread.withLock { thread in
            var made = pthread_t()
            pthread_create(
                &made, nil,
                { argument in
                    Unmanaged<LoopbackServer>.fromOpaque(argument!).takeUnretainedValue().serve()
                    return nil
                }, pointer)
            thread = made
        }
    }

    private let thread = Mutex<pthread_t>(pthread_t())

    deinit {
        shutdown(socketNumber, Int32(SHUT_RDWR))
        pthread_join(thread.withLock { $0 }, nil)
        close(socketNumber)
    }

    private func serve() {
        while true {
            var waiting = pollfd(fd: socketNumber, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, -1) == 1 || errno == EINTR else { return }
            let connection = DescriptorLock.held {
                let connection = accept(socketNumber, nil, nil)
                if connection >= 0 { _ = fcntl(connection, F_SETFD, FD_CLOEXEC) }
                return connection
            }
            guard connection >= 0 else { return }
            respond(connection)
            close(connection)
        }
    }

    private func respond(_ connection: Int32) {
        guard let request = read(connection) else { return }
        log.withLock { $0.append(request) }
        switch answer(request) {
        case .hangUp: return
        case .status(let code):
            send(connection, Array("HTTP/1.1 \(code) X\r\nContent-Length: 0\r\n\r\n".utf8))
        case .wholeBody(let body):
            send(connection, Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body)
        case .body(let body, let limit):
            let start = request.start
            guard start < body.count || body.isEmpty else {
                send(connection, Array("HTTP/1.1 416 X\r\nContent-Length: 0\r\n\r\n".utf8))
                return
            }
            var head = start > 0 ? "HTTP/1.1 206 X\r\n" : "HTTP/1.1 200 OK\r\n"
            if start > 0 { head += "Content-Range: bytes \(start)-\(body.count - 1)/\(body.count)\r\n" }
            head += "Content-Length: \(body.count - start)\r\n\r\n"
            let part = body[start...].prefix(limit ?? .max)
            send(connection, Array(head.utf8) + part)
        }
    }

    private func read(_ connection: Int32) -> Request? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
            let count = Glibc.read(connection, &chunk, chunk.count)
            guard count > 0 else { return nil }
            bytes += chunk[..<count]
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }) }
        }
        return Request(path: String(words[1]), headers: headers)
    }

    private func send(_ connection: Int32, _ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }
}
