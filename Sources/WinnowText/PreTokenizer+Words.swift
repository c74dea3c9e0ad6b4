extension PreTokenizer {
    /// The words that a text is cut into before merging; joined, they are the text.
    ///
    /// The text of added tokens is not looked for: it is cut as any other.
    public func words(in text: String) -> [String] {
        var text = text
        return text.withUTF8 { bytes in
            guard let start = bytes.baseAddress, !bytes.isEmpty else { return [] }
            var words: [String] = []
            WordScanner.withScanner(of: start) { scanner in
                scanner.forEachWord(cuts[...], from: 0, end: bytes.count) { start, end in
                    words.append(
                        String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self))
                }
            }
            return words
        }
    }
}

extension WordScanner {
    /// Calls `body` with a scanner of a text, which must be valid UTF-8.
    @inline(__always)
    static func withScanner(of text: UnsafePointer<UInt8>, _ body: (WordScanner) -> Void) {
        let table = ScalarClass.table
        table.pages.withUnsafeBufferPointer { pages in
            table.classes.withUnsafeBufferPointer { classes in
                body(WordScanner(text: text, pages: pages.baseAddress!, classes: classes.baseAddress!))
            }
        }
    }
}
