/// Finds added tokens in text: leftmost first, longest first among those that start at the same byte.
struct AddedTokenMatcher: Sendable {
    struct Match {
        var range: Range<Int>
        var id: TokenID
    }

    private struct Entry: Sendable {
        var bytes: [UInt8]
        var token: TokenizerDefinition.AddedToken
    }

    /// Entries sorted by first byte, then longest first.
    private let entries: [Entry]
    /// Entries whose first byte is b are `entries[starts[b]..<starts[b + 1]]`.
    private let starts: [Int32]

    var isEmpty: Bool { entries.isEmpty }

    init(_ tokens: [TokenizerDefinition.AddedToken]) {
        entries = tokens.filter { !$0.content.isEmpty }
            .map { Entry(bytes: Array($0.content.utf8), token: $0) }
            .sorted { ($0.bytes[0], $1.bytes.count) < ($1.bytes[0], $0.bytes.count) }
        var starts = [Int32](repeating: 0, count: 257)
        for entry in entries { starts[Int(entry.bytes[0]) + 1] += 1 }
        for byte in 0..<256 { starts[byte + 1] += starts[byte] }
        self.starts = starts
    }

    /// A matcher of texts alone.
    init(texts: [String]) {
        self.init(
            texts.enumerated().map {
                TokenizerDefinition.AddedToken(id: TokenID($0.offset), content: $0.element, isSpecial: false)
            })
    }

    /// The end of the longest entry that stands at a place.
    @inline(__always)
    func end(in text: UnsafeBufferPointer<UInt8>, at position: Int) -> Int? {
        guard !entries.isEmpty else { return nil }
        let byte = Int(text[position])
        for index in Int(starts[byte])..<Int(starts[byte + 1])
        where matches(entries[index].bytes, text, position, text.count) {
            return position + entries[index].bytes.count
        }
        return nil
    }

    /// The first match at or after `from`, before `end`.
    ///
    /// - Parameter floor: white space before this byte belongs to an earlier match.
    func next(in text: UnsafeBufferPointer<UInt8>, from: Int, end: Int) -> Match? {
        starts.withUnsafeBufferPointer { starts in
            var position = from
            while position < end {
                let byte = Int(text[position])
                let first = starts[byte]
                let last = starts[byte + 1]
                if first < last {
                    for index in Int(first)..<Int(last)
                    where matches(entries[index].bytes, text, position, end) {
                        return match(entries[index], text, position, from: from, end: end)
                    }
                }
                position += 1
            }
            return nil
        }
    }

    private func matches(
        _ bytes: [UInt8], _ text: UnsafeBufferPointer<UInt8>, _ position: Int, _ end: Int
    ) -> Bool {
        guard bytes.count <= end - position else { return false }
        for index in bytes.indices where bytes[index] != text[position + index] { return false }
        return true
    }

    private func match(
        _ entry: Entry, _ text: UnsafeBufferPointer<UInt8>, _ position: Int, from: Int, end: Int
    ) -> Match {
        var range = position..<(position + entry.bytes.count)
        if entry.token.stripsLeft || entry.token.stripsRight {
            let view = String(decoding: UnsafeBufferPointer(rebasing: text[from..<end]), as: UTF8.self)
            let scalars = view.unicodeScalars
            if entry.token.stripsLeft {
                var index = scalars.utf8Index(position - from)
                while index > scalars.startIndex {
                    let before = scalars.index(before: index)
                    guard scalars[before].properties.isWhitespace else { break }
                    index = before
                }
                range = (from + view.utf8.distance(from: view.startIndex, to: index))..<range.upperBound
            }
            if entry.token.stripsRight {
                var index = scalars.utf8Index(range.upperBound - from)
                while index < scalars.endIndex, scalars[index].properties.isWhitespace {
                    index = scalars.index(after: index)
                }
                range = range.lowerBound..<(from + view.utf8.distance(from: view.startIndex, to: index))
            }
        }
        return Match(range: range, id: entry.token.id)
    }
}

extension String.UnicodeScalarView {
    fileprivate func utf8Index(_ offset: Int) -> Index {
        let text = String(self)
        return text.utf8.index(text.startIndex, offsetBy: offset)
    }
}
