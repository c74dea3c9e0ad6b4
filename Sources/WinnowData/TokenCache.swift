import WinnowCore
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A tokenized file on disk, mapped into memory: made once, used until the text or the tokenizer changes.
///
/// ```
/// 0    "WINNOWTK", version u32, 0 u32
/// 16   key: SHA-256 of the text's SHA-256, the tokenizer's fingerprint and the template
/// 48   tokens u64, documents u64, checksum of the words, checksum of the table, checksum of this header
/// 128  an id a token, u32, its highest bit set where it is learned; padded to 8 bytes
/// …    two u64 a document and two at the end: first token, line * 2 + (may be cut)
/// ```
public struct TokenCache {
    /// How a cache came to be used.
    public enum Origin: String, Sendable {
        case found, made
        /// There was one, of another text or tokenizer, or damaged.
        case remade
    }

    public let store: TokenStore
    public let path: String
    public let origin: Origin

    static let magic: [UInt8] = Array("WINNOWTK".utf8)
    static let version: UInt32 = 1
    static let headerBytes = 128

    /// Opens the cache of a file in `folder`, and makes it first where it is missing, stale or damaged.
    ///
    /// - Parameter source: `.jsonl` holds records a line, any other file is one text. Larger than memory is
    ///   fine.
    /// - Parameter progress: bytes read, of all.
    /// - Throws: ``DataError``, `FileError`, or `CancellationError` when the flag is raised.
    public init(
        _ source: String, tokenizer: Tokenizer, template: ChatTemplate? = nil, in folder: String,
        cancellation: CancellationFlag? = nil, progress: (Int, Int) -> Void = { _, _ in }
    ) throws {
        let key = try Self.key(source, tokenizer, template)
        let hash = Array(source.utf8).withUnsafeBytes { SHA256.hexadecimal(of: $0) }
        let name = String(source.split(separator: "/").last ?? "text")
        path = "\(folder)/\(name)-\(hash.prefix(12)).tokens"
        if access(path, F_OK) == 0 {
            if let found = try? Self.read(path, source: source, key: key) {
                store = found
                origin = .found
                return
            }
            origin = .remade
        } else {
            origin = .made
        }
        let writer = try TokenCacheWriter(path, key: key)
        try TokenizedFile.read(
            source, RecordTokenizer(tokenizer, template: template), cancellation: cancellation,
            progress: progress
        ) { sink in
            if sink.tokens.count >= TokenCacheWriter.bufferTokens { try writer.write(sink) }
        } finish: { sink in
            try writer.finish(sink)
        }
        store = try Self.read(path, source: source, key: key)
    }

    private static func key(_ source: String, _ tokenizer: Tokenizer, _ template: ChatTemplate?) throws
        -> [UInt8]
    {
        let parts = [
            "winnow tokens \(version)", try BoundedReader.sha256(of: source), tokenizer.fingerprint,
            source.hasSuffix(".jsonl") ? "lines" : "text", template?.source ?? "",
        ]
        let digits = Array(parts.joined(separator: "\n").utf8).withUnsafeBytes { SHA256.hexadecimal(of: $0) }
        return Array(digits.utf8.prefix(32))
    }

    /// Opens a cache and checks all of it.
    static func read(_ path: String, source: String, key: [UInt8]) throws -> TokenStore {
        let storage = try Storage.mapping(path)
        let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
        func number(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        func bad(_ reason: String) -> DataError { .badCache(file: path, reason: reason) }
        guard bytes.count >= headerBytes, bytes.prefix(8).elementsEqual(magic) else {
            throw bad("no token cache")
        }
        guard bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self) == version else {
            throw bad("another version")
        }
        guard number(80) == Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<80])) else {
            throw bad("header")
        }
        guard bytes[16..<48].elementsEqual(key) else { throw bad("another text or tokenizer") }
        let tokens = number(48), documents = number(56), limit = UInt64(bytes.count)
        guard tokens <= limit, documents < limit else { throw bad("counts") }
        let wordBytes = Int((tokens * 4 + 7) / 8 * 8), tableBytes = Int(documents + 1) * 16
        guard bytes.count == headerBytes + wordBytes + tableBytes else { throw bad("length") }
        let words = UnsafeRawBufferPointer(rebasing: bytes[headerBytes..<headerBytes + wordBytes])
        let table = UnsafeRawBufferPointer(rebasing: bytes[(headerBytes + wordBytes)...])
        guard number(64) == Checksum.of(words), number(72) == Checksum.of(table) else {
            throw bad("checksum")
        }
        let store = TokenStore(
            source: source, words: StorageSlice(storage, offset: headerBytes, byteCount: Int(tokens) * 4),
            table: StorageSlice(storage, offset: headerBytes + wordBytes, byteCount: tableBytes))
        var last = 0
        for document in 0..<Int(documents) {
            let start = table.loadUnaligned(fromByteOffset: document * 16, as: UInt64.self)
            guard start >= last, start <= tokens else { throw bad("documents") }
            last = Int(start)
        }
        guard table.loadUnaligned(fromByteOffset: Int(documents) * 16, as: UInt64.self) == tokens else {
            throw bad("documents")
        }
        return store
    }
}

/// A checksum of bytes in 64-bit words, four at a time; zeros are added to the end.
struct Checksum {
    private var lanes: SIMD4<UInt64> = [
        0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 1,
    ]
    private var count: UInt64 = 0

    /// - Precondition: all but the last run are a multiple of 32 bytes.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        let multiplier = SIMD4<UInt64>(repeating: 0x2127_599B_F432_5C37)
        let whole = bytes.count / 32 * 32
        for offset in stride(from: 0, to: whole, by: 32) {
            lanes =
                (lanes ^ bytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)) &* multiplier
            lanes ^= lanes &>> 29
        }
        if whole < bytes.count {
            var rest = SIMD4<UInt64>()
            withUnsafeMutableBytes(of: &rest) {
                $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[whole...]))
            }
            lanes = (lanes ^ rest) &* multiplier
            lanes ^= lanes &>> 29
        }
        count &+= UInt64(bytes.count)
    }

    var value: UInt64 {
        var result = count
        for lane in 0..<4 {
            result = (result ^ lanes[lane]) &* 0x880355F21E6D1965
            result ^= result &>> 32
        }
        return result
    }

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum = Checksum()
        sum.add(bytes)
        return sum.value
    }
}
