/// Cuts valid UTF-8 into words as a ``PreTokenizer``'s expression would, byte by byte for ASCII.
struct WordScanner {
    let text: UnsafePointer<UInt8>
    let pages: UnsafePointer<UInt16>
    let classes: UnsafePointer<UInt8>
    let rule: PreTokenizer

    private struct Step {
        /// Class bits of the scalar and its flag.
        var bits: UInt8
        var next: Int

        var kind: UInt8 { bits & ScalarClass.mask }
    }

    /// The class of the scalar at a byte and the byte after it. The text is valid UTF-8.
    @inline(__always)
    private func step(_ position: Int) -> Step {
        let lead = text[position]
        if lead < 0x80 { return Step(bits: classes[Int(lead)], next: position + 1) }
        return wideStep(position, UInt32(lead))
    }

    private func wideStep(_ position: Int, _ lead: UInt32) -> Step {
        @inline(__always) func tail(_ offset: Int) -> UInt32 { UInt32(text[position + offset] & 0x3F) }
        let scalar: UInt32
        let width: Int
        if lead < 0xE0 {
            scalar = (lead & 0x1F) << 6 | tail(1)
            width = 2
        } else if lead < 0xF0 {
            scalar = (lead & 0x0F) << 12 | tail(1) << 6 | tail(2)
            width = 3
        } else {
            scalar = (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3)
            width = 4
        }
        let page = Int(pages[Int(scalar >> UInt32(ScalarClass.pageBits))])
        let low = Int(scalar) & (1 << ScalarClass.pageBits - 1)
        return Step(bits: classes[page << ScalarClass.pageBits + low], next: position + width)
    }

    /// The end of the run of scalars of one class from `position`.
    @inline(__always)
    private func run(_ kind: UInt8, from position: Int, end: Int) -> Int {
        var position = position
        while position < end {
            let step = step(position)
            if step.kind != kind { break }
            position = step.next
        }
        return position
    }

    /// The end of the word that starts at `start`; a text that ends at `end` decides what is last.
    @inline(__always)
    func wordEnd(from start: Int, end: Int) -> Int {
        switch rule {
        case .gpt2, .smollm: gpt2(from: start, end: end)
        case .llama3: llama(from: start, end: end, digits: 3)
        case .qwen2: llama(from: start, end: end, digits: 1)
        }
    }

    /// The end of the stretch from `start` that is cut on its own: with smollm, digits stand between them.
    @inline(__always)
    func stretchEnd(from start: Int, end: Int) -> Int {
        guard rule == .smollm else { return end }
        let first = step(start)
        if first.bits & ScalarClass.numericFlag != 0 { return first.next }
        var position = first.next
        while position < end {
            let step = step(position)
            if step.bits & ScalarClass.numericFlag != 0 { break }
            position = step.next
        }
        return position
    }

    // MARK: expressions

    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    @inline(__always)
    private func gpt2(from start: Int, end: Int) -> Int {
        let lead = text[start]
        if lead == UInt8(ascii: "'"), let contraction = contraction(from: start, end: end, foldsCase: false) {
            return contraction
        }
        var first = step(start)
        if lead == 0x20 {
            guard start + 1 < end else { return end }
            first = step(start + 1)
        }
        if first.kind == ScalarClass.space { return spaces(from: start, end: end) }
        return run(first.kind, from: first.next, end: end)
    }

    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|`
    /// `\s+(?!\S)|\s+`
    private func llama(from start: Int, end: Int, digits: Int) -> Int {
        let lead = text[start]
        if lead == UInt8(ascii: "'"), let contraction = contraction(from: start, end: end, foldsCase: true) {
            return contraction
        }
        let first = step(start)
        switch first.kind {
        case ScalarClass.letter: return run(ScalarClass.letter, from: first.next, end: end)
        case ScalarClass.number:
            var position = first.next
            for _ in 1..<max(digits, 1) where position < end {
                let step = step(position)
                if step.kind != ScalarClass.number { break }
                position = step.next
            }
            return position
        default: break
        }
        let second = first.next < end ? step(first.next) : nil
        if let second, second.kind == ScalarClass.letter, !isLineEnd(lead) {
            return run(ScalarClass.letter, from: second.next, end: end)
        }
        if first.kind == ScalarClass.other {
            return lineEnds(from: run(ScalarClass.other, from: first.next, end: end), end: end)
        }
        if lead == 0x20, let second, second.kind == ScalarClass.other {
            return lineEnds(from: run(ScalarClass.other, from: second.next, end: end), end: end)
        }
        let stop = run(ScalarClass.space, from: start, end: end)
        var lineEnd = stop
        while lineEnd > start, !isLineEnd(text[lineEnd - 1]) { lineEnd -= 1 }
        return lineEnd > start ? lineEnd : spaces(from: start, end: end)
    }

    /// `\s+(?!\S)|\s+`: a run of white space without its last scalar, unless it ends the text or is alone.
    private func spaces(from start: Int, end: Int) -> Int {
        let stop = run(ScalarClass.space, from: start, end: end)
        guard stop < end else { return stop }
        var last = stop - 1
        while text[last] & 0xC0 == 0x80 { last -= 1 }
        return last > start ? last : stop
    }

    @inline(__always)
    private func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

    private func lineEnds(from start: Int, end: Int) -> Int {
        var position = start
        while position < end, isLineEnd(text[position]) { position += 1 }
        return position
    }

    /// The end of `'s 't 're 've 'm 'll 'd` at an apostrophe.
    private func contraction(from start: Int, end: Int, foldsCase: Bool) -> Int? {
        guard start + 1 < end else { return nil }
        let fold: UInt8 = foldsCase ? 0x20 : 0
        let first = text[start + 1]
        switch first | fold {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
        default: break
        }
        guard start + 2 < end else { return nil }
        let second = text[start + 2]
        // U+017F folds to s.
        if foldsCase, first == 0xC5, second == 0xBF { return start + 3 }
        switch (first | fold, second | fold) {
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return start + 3
        default: return nil
        }
    }
}
