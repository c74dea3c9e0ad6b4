import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads a file from its start through one buffer, whose size is that of the longest piece asked for.
package final class BoundedReader {
    static let chunk = 1 << 20
    /// Lines of JSON, and documents that a tokenizer needs whole.
    static let largestPiece = 1 << 26

    let path: String
    private(set) var byteCount = 0
    /// Where the buffer's first byte stands in the file.
    private(set) var offset = 0
    /// The most the buffer ever held.
    package private(set) var largestBuffer = 0
    private let descriptor: Int32
    private var memory: UnsafeMutablePointer<UInt8>
    private var capacity = 2 * chunk
    private var start = 0
    private var end = 0
    private var isAtEnd = false

    init(_ path: String) throws(FileError) {
        self.path = path
        memory = .allocate(capacity: capacity)
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0 else { throw FileError(path, operation: "open", code: errno) }
        guard fstat(descriptor, &status) == 0 else { throw FileError(path, operation: "stat", code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(
                path, operation: "read", code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
        }
        byteCount = Int(status.st_size)
    }

    deinit {
        memory.deallocate()
        if descriptor >= 0 { close(descriptor) }
    }

    /// What is read and not yet taken.
    var buffer: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: memory + start, count: end - start) }

    /// Reads on; false at the end of the file.
    func fill() throws(FileError) -> Bool {
        guard !isAtEnd else { return false }
        if capacity - end < Self.chunk { makeRoom() }
        var count = -1
        repeat { count = read(descriptor, memory + end, Self.chunk) } while count < 0 && errno == EINTR
        guard count >= 0 else { throw FileError(path, operation: "read", code: errno) }
        end += count
        largestBuffer = max(largestBuffer, end - start)
        if count == 0 { isAtEnd = true }
        return count > 0
    }

    private func makeRoom() {
        let count = end - start
        if capacity - count < Self.chunk {
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
            larger.update(from: memory + start, count: count)
            memory.deallocate()
            memory = larger
            capacity *= 2
        } else {
            memory.update(from: memory + start, count: count)
        }
        start = 0
        end = count
    }

    /// Takes bytes off the front.
    func take(_ count: Int) -> [UInt8] {
        let piece = Array(UnsafeBufferPointer(rebasing: buffer[..<count]))
        drop(count)
        return piece
    }

    func drop(_ count: Int) {
        start += count
        offset += count
    }

    /// SHA-256 of a file, in the same small memory.
    static func sha256(of path: String) throws(FileError) -> String {
        let reader = try BoundedReader(path)
        var hash = SHA256()
        while try reader.fill() {
            hash.add(UnsafeRawBufferPointer(reader.buffer))
            reader.drop(reader.buffer.count)
        }
        return hash.hexadecimal()
    }
}

/// The lines of a file, without their ends.
package struct LineReader {
    package let reader: BoundedReader
    package private(set) var line = 0
    /// How much of what is in the buffer has no line end.
    private var searched = 0

    package init(_ path: String) throws(FileError) { reader = try BoundedReader(path) }

    /// The next line, nil behind the last.
    package mutating func next() throws -> [UInt8]? {
        while true {
            let bytes = reader.buffer
            if searched < bytes.count, let start = bytes.baseAddress,
                let found = memchr(start + searched, 0x0A, bytes.count - searched)
            {
                let length = UnsafeRawPointer(found) - UnsafeRawPointer(start)
                let text = reader.take(length)
                reader.drop(1)
                searched = 0
                return counted(text)
            }
            searched = bytes.count
            if try reader.fill() {
                guard reader.buffer.count <= BoundedReader.largestPiece else {
                    throw DataError.lineTooLong(
                        file: reader.path, line: line + 1, limit: BoundedReader.largestPiece)
                }
                continue
            }
            guard !reader.buffer.isEmpty else { return nil }
            searched = 0
            return counted(reader.take(reader.buffer.count))
        }
    }

    /// A line, without the byte order mark that some editors put before the first.
    private mutating func counted(_ text: [UInt8]) -> [UInt8] {
        line += 1
        return line == 1 && text.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(text.dropFirst(3)) : text
    }
}

/// A text in pieces that tokenize as the whole does: cut between a line's end and a word, where
/// pre-tokenizers of byte-level models never look across; failing that before the space of a word, failing
/// that anywhere.
package struct PieceReader {
    /// Pieces end here at the latest.
    static let largestPiece = 1 << 22

    package let reader: BoundedReader
    private let cuts: Bool

    /// - Parameter cuts: false gives the whole text as one piece.
    package init(_ path: String, cuts: Bool) throws(FileError) {
        reader = try BoundedReader(path)
        self.cuts = cuts
    }

    /// The next piece, UTF-8, nil behind the last.
    package mutating func next() throws -> [UInt8]? {
        var searched = 0
        while try reader.fill() {
            let count = reader.buffer.count
            if cuts, count >= BoundedReader.chunk {
                if let end = Self.cut(reader.buffer, from: searched) { return try checked(reader.take(end)) }
                searched = max(0, count - 1)
                if count >= Self.largestPiece {
                    return try checked(reader.take(Self.characterEnd(reader.buffer)))
                }
            } else if !cuts, count > BoundedReader.largestPiece {
                throw DataError.documentTooLarge(file: reader.path, limit: BoundedReader.largestPiece)
            }
        }
        guard !reader.buffer.isEmpty else { return nil }
        return try checked(reader.take(reader.buffer.count))
    }

    private func checked(_ piece: [UInt8]) throws -> [UInt8] {
        if let offset = firstInvalidUTF8(piece) {
            throw DataError.notUTF8(file: reader.path, offset: reader.offset - piece.count + offset)
        }
        return piece
    }

    /// Where to cut: behind the last lone line end between two words, else before the last lone space between
    /// letters.
    ///
    /// - Parameter first: no place before it is looked at.
    static func cut(_ bytes: UnsafeBufferPointer<UInt8>, from first: Int) -> Int? {
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A }
        var space: Int?
        for index in stride(from: bytes.count - 2, to: max(first, 0), by: -1) {
            let byte = bytes[index]
            guard byte == 0x0A || byte == 0x20 else { continue }
            if byte == 0x0A, isInWord(bytes, before: index), isInWord(bytes, at: index + 1) {
                return index + 1
            }
            if space == nil, byte == 0x20, isLetter(bytes[index - 1]), isLetter(bytes[index + 1]) {
                space = index
            }
        }
        return space
    }

    /// Whether a character begins here that is surely no white space.
    private static func isInWord(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
        switch bytes[index] {
        case 0x21...0x7E, 0xC3...0xDF, 0xE4...0xF4: true
        // U+3000 is a space; the others of this lead are not.
        case 0xE3: index + 1 < bytes.count && bytes[index + 1] > 0x80
        default: false
        }
    }

    private static func isInWord(_ bytes: UnsafeBufferPointer<UInt8>, before end: Int) -> Bool {
        var start = end - 1
        while start > 0, end - start < 4, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return isInWord(bytes, at: start)
    }

    /// The end of the last whole character.
    private static func characterEnd(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        for back in 1...min(4, bytes.count) {
            let byte = bytes[bytes.count - back]
            if byte & 0xC0 == 0x80 { continue }
            let length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
            return max(length > back ? bytes.count - back : bytes.count, 1)
        }
        return bytes.count
    }
}

/// Where bytes stop to be UTF-8; nil when all of them are.
func firstInvalidUTF8(_ bytes: [UInt8]) -> Int? {
    guard String(validating: bytes, as: UTF8.self) == nil else { return nil }
    var index = 0
    while index < bytes.count {
        let second: ClosedRange<UInt8>
        let length: Int
        switch bytes[index] {
        case 0x00...0x7F: (length, second) = (1, 0x80...0xBF)
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return index
        }
        guard index + length <= bytes.count else { return index }
        if length > 1, !second.contains(bytes[index + 1]) { return index }
        for place in 2..<max(2, length) where bytes[index + place] & 0xC0 != 0x80 { return index }
        index += length
    }
    return nil
}
