extension PreTokenizer {
    /// The words that a text is cut into before merging; joined, they are the text.
    ///
    /// The text of added tokens is not looked for: it is cut as any other.
    public func words(in text: String) -> [String] {
        var text = text
        return text.withUTF8 { bytes in
            guard let start = bytes.baseAddress, !bytes.isEmpty else { return [] }
            let table = ScalarClass.table
            return table.pages.withUnsafeBufferPointer { pages in
                table.classes.withUnsafeBufferPointer { classes in
                    let scanner = WordScanner(
                        text: start, pages: pages.baseAddress!, classes: classes.baseAddress!, rule: self)
                    var words: [String] = []
                    var position = 0
                    while position < bytes.count {
                        let stop = scanner.stretchEnd(from: position, end: bytes.count)
                        while position < stop {
                            let end = scanner.wordEnd(from: position, end: stop)
                            words.append(
                                String(decoding: UnsafeBufferPointer(rebasing: bytes[position..<end]), as: UTF8.self))
                            position = end
                        }
                    }
                    return words
                }
            }
        }
    }
}
