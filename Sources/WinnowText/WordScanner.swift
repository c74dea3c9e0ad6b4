/// Cuts valid UTF-8 into words as the expressions of a ``PreTokenizer`` would, byte by byte for ASCII.
struct WordScanner {
    let text: UnsafePointer<UInt8>
    let pages: UnsafePointer<UInt16>
    let classes: UnsafePointer<UInt8>

    struct Step {
        var scalar: UInt32
        /// Class bits of the scalar and its flags.
        var bits: UInt8
        var next: Int

        var kind: UInt8 { bits & ScalarClass.mask }
    }

    /// The class of the scalar at a byte and the byte after it. The text is valid UTF-8.
    @inline(__always)
    func step(_ position: Int) -> Step {
        let lead = text[position]
        if lead < 0x80 { return Step(scalar: UInt32(lead), bits: classes[Int(lead)], next: position + 1) }
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
        return Step(scalar: scalar, bits: classes[page << ScalarClass.pageBits + low], next: position + width)
    }

    /// The end of the run of scalars of one class from `position`.
    @inline(__always)
    func run(_ kind: UInt8, from position: Int, end: Int) -> Int {
        var position = position
        while position < end {
            let step = step(position)
            if step.kind != kind { break }
            position = step.next
        }
        return position
    }

    /// The end of the run of scalars for which a condition holds.
    @inline(__always)
    func run(from position: Int, end: Int, while condition: (Step) -> Bool) -> Int {
        var position = position
        while position < end {
            let step = step(position)
            if !condition(step) { break }
            position = step.next
        }
        return position
    }

    /// The end of the piece that starts at `start`, a match or what lies before the next; a text that ends at
    /// `end` decides what is last.
    @inline(__always)
    func wordEnd(_ cut: WordCut, from start: Int, end: Int) -> Int {
        switch cut {
        case .gpt2: gpt2(from: start, end: end)
        case .llama(let cut): llama(cut, from: start, end: end)
        case .cased(let cut): cased(cut, from: start, end: end)
        case .run(let cut): run(cut, from: start, end: end)
        case .deepSeek3: deepSeek3(from: start, end: end)
        case .trailingSpaces: trailingSpaces(from: start, end: end)
        case .lines:
            text[start] == 0x0A
                ? run(from: start, end: end) { $0.scalar == 0x0A }
                : run(from: start, end: end) { $0.scalar != 0x0A }
        case .spaceMarks(let all): spaceMarks(all: all, from: start, end: end)
        case .bert: bert(from: start, end: end)
        }
    }

    /// Calls `body` with the words of a range: the pieces of the last of `cuts`.
    @inline(__always)
    func forEachWord(
        _ cuts: ArraySlice<WordCut>, from start: Int, end: Int, _ body: (Int, Int) -> Void
    ) {
        // Most pre-tokenizers have one or two steps: a stack of the ends of open pieces stands for recursion.
        guard let last = cuts.last else {
            if start < end { body(start, end) }
            return
        }
        var ends = [Int](repeating: end, count: cuts.count)
        var depth = 0
        var position = start
        while position < end {
            while depth > 0, position == ends[depth] { depth -= 1 }
            while depth + 1 < cuts.count {
                ends[depth + 1] = wordEnd(cuts[cuts.startIndex + depth], from: position, end: ends[depth])
                depth += 1
            }
            let stop = ends[depth]
            while position < stop {
                let word = wordEnd(last, from: position, end: stop)
                body(position, word)
                position = word
            }
        }
    }
}
