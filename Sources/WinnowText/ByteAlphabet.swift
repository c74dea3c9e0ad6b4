/// GPT-2's printable spelling of bytes: each byte is one visible character in vocabularies and merges.
enum ByteAlphabet {
    /// The scalar that spells each byte.
    static let scalars: [Unicode.Scalar] = {
        var result: [Unicode.Scalar] = []
        var next: UInt32 = 256
        for byte in UInt8.min...UInt8.max {
            if isPrintable(byte) {
                result.append(Unicode.Scalar(byte))
            } else {
                result.append(Unicode.Scalar(next) ?? "\u{FFFD}")
                next += 1
            }
        }
        return result
    }()

    /// The byte that each scalar below ``scalarLimit`` spells, -1 for none.
    static let bytes: [Int16] = {
        var result = [Int16](repeating: -1, count: scalarLimit)
        for (byte, scalar) in scalars.enumerated() { result[Int(scalar.value)] = Int16(byte) }
        return result
    }()

    static let scalarLimit = 256 + 68

    private static func isPrintable(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
    }

    /// Appends the bytes that a token spells; a token with a scalar outside the alphabet is its own UTF-8.
    static func append(_ token: String, to output: inout [UInt8]) {
        let start = output.count
        for scalar in token.unicodeScalars {
            guard scalar.value < scalarLimit, bytes[Int(scalar.value)] >= 0 else {
                output.removeSubrange(start...)
                output.append(contentsOf: token.utf8)
                return
            }
            output.append(UInt8(truncatingIfNeeded: bytes[Int(scalar.value)]))
        }
    }
}
