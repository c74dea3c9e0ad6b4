import CWinnow

/// SHA-256 of bytes given in pieces: what names texts, masks and models in reports.
///
/// Our own because swift-crypto would double the package's first build.
public struct SHA256: Sendable {
    private var state = wn_sha256()

    public init() { wn_sha256_begin(&state) }

    public mutating func add(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        wn_sha256_add(&state, base, bytes.count)
    }

    /// The digest of all that was added, 64 hexadecimal digits.
    public consuming func hexadecimal() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        wn_sha256_end(&state, &digest)
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The digest of one run of bytes, 64 hexadecimal digits.
    public static func hexadecimal(of bytes: UnsafeRawBufferPointer) -> String {
        var hash = SHA256()
        hash.add(bytes)
        return hash.hexadecimal()
    }
}
