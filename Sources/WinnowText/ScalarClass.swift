/// What a scalar is to a pre-tokenizer: letter, number, white space or other, and flags; looked up in two steps.
///
/// A table instead of the standard library's Unicode properties: it is several times faster, and it splits
/// where Hugging Face's tokenizers split even for scalars that newer editions of Unicode added.
enum ScalarClass {
    static let other: UInt8 = 0
    static let letter: UInt8 = 1
    static let number: UInt8 = 2
    static let space: UInt8 = 3
    /// The bits of the four classes above.
    static let mask: UInt8 = 3
    /// Set for what the `Digits` pre-tokenizer splits off.
    static let numericFlag: UInt8 = 4
    /// Flags for `\p{M}`, `\p{P}`, `\p{S}`, `[\p{Lu}\p{Lt}]` and `\p{Ll}`.
    static let markFlag: UInt8 = 8
    static let punctuationFlag: UInt8 = 16
    static let symbolFlag: UInt8 = 32
    static let upperFlag: UInt8 = 64
    static let lowerFlag: UInt8 = 128

    /// Scalars of a page share the entry of ``Table/pages``; pages of one class are stored once.
    static let pageBits = 7

    struct Table: Sendable {
        /// Index of the page of scalars `i << pageBits`, in units of pages.
        var pages: [UInt16]
        var classes: [UInt8]
    }

    /// Page 0 (ASCII) is stored first.
    static let table: Table = {
        let pageSize = 1 << pageBits
        let pageCount = 0x110000 >> pageBits
        var flat = [UInt8](repeating: 0, count: 0x110000)
        for index in stride(from: 0, to: ranges.count, by: 2) {
            let start = Int(ranges[index])
            let kind = UInt8(truncatingIfNeeded: ranges[index + 1])
            for scalar in start..<(start + Int(ranges[index + 1] >> 8)) { flat[scalar] = kind }
        }
        var table = Table(pages: [], classes: [])
        table.pages.reserveCapacity(pageCount)
        var uniform: [UInt8: UInt16] = [:]
        for page in 0..<pageCount {
            let content = flat[(page * pageSize)..<((page + 1) * pageSize)]
            let first = content[content.startIndex]
            let isUniform = content.allSatisfy { $0 == first }
            if isUniform, let known = uniform[first] {
                table.pages.append(known)
                continue
            }
            let index = UInt16(table.classes.count / pageSize)
            if isUniform { uniform[first] = index }
            table.pages.append(index)
            table.classes.append(contentsOf: content)
        }
        return table
    }()
}
