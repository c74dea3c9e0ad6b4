/// The expressions, each as a function from the start of a piece to its end.
extension WordScanner {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    @inline(__always)
    func gpt2(from start: Int, end: Int) -> Int {
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

    /// ``LlamaCut``
    func llama(_ cut: LlamaCut, from start: Int, end: Int) -> Int {
        let lead = text[start]
        if cut.hasContractions, lead == UInt8(ascii: "'"),
            let contraction = contraction(from: start, end: end, foldsCase: true)
        {
            return contraction
        }
        @inline(__always) func isLetter(_ step: Step) -> Bool {
            step.kind == ScalarClass.letter || (cut.joinsMarks && step.bits & ScalarClass.markFlag != 0)
        }
        @inline(__always) func isOther(_ step: Step) -> Bool {
            step.kind == ScalarClass.other && !(cut.joinsMarks && step.bits & ScalarClass.markFlag != 0)
        }
        let first = step(start)
        if isLetter(first) { return run(from: first.next, end: end, while: isLetter) }
        if first.kind == ScalarClass.number { return numbers(from: start, end: end, atMost: cut.digits) }
        let second = first.next < end ? step(first.next) : nil
        if let second, isLetter(second), !isLineEnd(lead) {
            return run(from: second.next, end: end, while: isLetter)
        }
        if isOther(first) {
            return others(
                run(from: first.next, end: end, while: isOther), end: end, takesLineEnds: cut.takesLineEnds)
        }
        if lead == 0x20, let second, isOther(second) {
            return others(
                run(from: second.next, end: end, while: isOther), end: end, takesLineEnds: cut.takesLineEnds)
        }
        return whiteSpace(from: start, end: end)
    }

    /// ``CasedCut``
    func cased(_ cut: CasedCut, from start: Int, end: Int) -> Int {
        let first = step(start)
        let isPrefix =
            first.kind != ScalarClass.letter && first.kind != ScalarClass.number && !isLineEnd(text[start])
        if isPrefix || first.kind == ScalarClass.letter {
            // The prefix is taken when what follows allows it; without it, only a mark can begin a word.
            let inner = isPrefix ? first.next : start
            if let stop = capitalsThenSmall(from: inner, end: end) ?? capitalsThenSmall(from: start, end: end)
            {
                return contracted(cut, stop, end)
            }
            var capitals = run(from: inner, end: end, while: isUpper)
            if capitals == inner { capitals = run(from: start, end: end, while: isUpper) }
            if capitals > inner || (capitals > start && isUpper(first)) {
                return contracted(cut, run(from: capitals, end: end, while: isLower), end)
            }
        }
        if first.kind == ScalarClass.number { return numbers(from: start, end: end, atMost: cut.digits) }
        var stop = start
        if first.kind == ScalarClass.other {
            stop = run(ScalarClass.other, from: first.next, end: end)
        } else if text[start] == 0x20, first.next < end {
            stop = run(ScalarClass.other, from: first.next, end: end)
            if stop == first.next { stop = start }
        }
        if stop > start {
            while stop < end, isLineEnd(text[stop]) || text[stop] == UInt8(ascii: "/") { stop += 1 }
            return stop
        }
        return whiteSpace(from: start, end: end)
    }

    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` with the backtracking that it means: capitals
    /// are given back up to the last scalar that also counts as small.
    private func capitalsThenSmall(from start: Int, end: Int) -> Int? {
        var position = start
        var lastBoth: Int?
        while position < end {
            let step = step(position)
            guard isUpper(step) else { break }
            position = step.next
            if isLower(step) { lastBoth = position }
        }
        let small = run(from: position, end: end, while: isLower)
        return small > position ? small : lastBoth
    }

    @inline(__always)
    private func isUpper(_ step: Step) -> Bool {
        step.kind == ScalarClass.letter
            ? step.bits & ScalarClass.lowerFlag == 0 : step.bits & ScalarClass.markFlag != 0
    }

    @inline(__always)
    private func isLower(_ step: Step) -> Bool {
        step.kind == ScalarClass.letter
            ? step.bits & ScalarClass.upperFlag == 0 : step.bits & ScalarClass.markFlag != 0
    }

    private func contracted(_ cut: CasedCut, _ position: Int, _ end: Int) -> Int {
        guard cut.hasContractions, position < end, text[position] == UInt8(ascii: "'") else {
            return position
        }
        return contraction(from: position, end: end, foldsCase: true) ?? position
    }

    /// ``WordCut/deepSeek3``; what it does not match, controls for the most part, stays together.
    func deepSeek3(from start: Int, end: Int) -> Int {
        var position = start
        while position < end {
            if let stop = deepSeek3Match(at: position, end: end) {
                return position == start ? stop : position
            }
            position = step(position).next
        }
        return end
    }

    private func deepSeek3Match(at start: Int, end: Int) -> Int? {
        let first = step(start)
        let isMark = first.bits & (ScalarClass.punctuationFlag | ScalarClass.symbolFlag) != 0
        if isMark, first.scalar < 0x80 {
            let stop = run(from: first.next, end: end) { ($0.scalar | 0x20) &- 0x61 < 26 }
            if stop > first.next { return stop }
        }
        func isWord(_ step: Step) -> Bool {
            step.kind == ScalarClass.letter || step.bits & ScalarClass.markFlag != 0
        }
        if first.kind != ScalarClass.letter, !isMark, !isLineEnd(text[start]) {
            let stop = run(from: first.next, end: end, while: isWord)
            if stop > first.next { return stop }
        }
        if isWord(first) { return run(from: first.next, end: end, while: isWord) }
        func isSign(_ step: Step) -> Bool {
            step.bits & (ScalarClass.punctuationFlag | ScalarClass.symbolFlag) != 0
        }
        let signs = text[start] == 0x20 ? first.next : start
        let stop = run(from: signs, end: end, while: isSign)
        if stop > signs { return lineEnds(from: stop, end: end) }
        guard first.kind == ScalarClass.space else { return nil }
        return whiteSpace(from: start, end: end)
    }

    /// ``RunCut``
    @inline(__always)
    func run(_ cut: RunCut, from start: Int, end: Int) -> Int {
        var position = start
        while position < end {
            let first = step(position)
            let isMember = cut.set.contains(first.scalar, bits: first.bits)
            if let stop = match(cut, first, isMember, at: position, end: end) {
                return position == start ? stop : position
            }
            position = first.next
        }
        return end
    }

    @inline(__always)
    private func match(_ cut: RunCut, _ first: Step, _ isMember: Bool, at start: Int, end: Int) -> Int? {
        var position = start
        let isLead =
            switch cut.lead {
            case .none: false
            case .space: first.scalar == 0x20
            case .whiteSpace: first.kind == ScalarClass.space
            }
        if isLead {
            // A lead that is a member itself may stand alone; none of the sets that have a lead holds a space
            // but U+3000, for which the run from it is the same.
            position = first.next
        } else if !isMember {
            return nil
        }
        var count = 0
        while position < end, cut.maximum == 0 || count < cut.maximum {
            let step = step(position)
            guard cut.set.contains(step.scalar, bits: step.bits) else { break }
            position = step.next
            count += 1
        }
        if count >= cut.minimum { return position }
        return isLead && isMember && cut.minimum == 1 ? first.next : nil
    }

    /// `\s+$`
    func trailingSpaces(from start: Int, end: Int) -> Int {
        var last = end
        while last > start {
            var before = last - 1
            while before > start, text[before] & 0xC0 == 0x80 { before -= 1 }
            guard step(before).kind == ScalarClass.space else { break }
            last = before
        }
        return last > start ? last : end
    }

    func spaceMarks(all: Bool, from start: Int, end: Int) -> Int {
        var position = step(start).next
        var isMark = step(start).scalar == 0x2581
        while position < end {
            let step = step(position)
            let wasMark = isMark
            isMark = step.scalar == 0x2581
            if isMark, all || !wasMark { return position }
            position = step.next
        }
        return end
    }

    func bert(from start: Int, end: Int) -> Int {
        let first = step(start)
        if first.kind == ScalarClass.space { return run(ScalarClass.space, from: first.next, end: end) }
        if ScalarSet.marks.contains(first.scalar, bits: first.bits) { return first.next }
        return run(from: first.next, end: end) {
            $0.kind != ScalarClass.space && !ScalarSet.marks.contains($0.scalar, bits: $0.bits)
        }
    }

    // MARK: parts

    private func numbers(from start: Int, end: Int, atMost limit: Int) -> Int {
        if limit == 0 { return run(ScalarClass.number, from: start, end: end) }
        var position = step(start).next
        for _ in 1..<max(limit, 1) where position < end {
            let step = step(position)
            if step.kind != ScalarClass.number { break }
            position = step.next
        }
        return position
    }

    private func others(_ stop: Int, end: Int, takesLineEnds: Bool) -> Int {
        takesLineEnds ? lineEnds(from: stop, end: end) : stop
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`; `\s*` is greedy, so that `\s*[\r\n]` means the same.
    private func whiteSpace(from start: Int, end: Int) -> Int {
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
