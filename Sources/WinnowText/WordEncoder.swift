/// Makes ids of the words of one text. Holds scratch memory and the words already seen.
struct WordEncoder: ~Copyable {
    private let text: UnsafePointer<UInt8>
    private let merges: UnsafeBufferPointer<MergeTable.Slot>
    private let byteIDs: UnsafePointer<TokenID>
    /// What makes the first pieces of characters; nil where they are bytes.
    private let characters: CharacterPieces?
    private let isByteLevel: Bool
    /// Whole words that are tokens, nil unless they are taken before merging.
    private let wholeWords: ByteKeyTable?
    private let model: Tokenizer.Tables.Model
    private var unigram = UnigramModel.Scratch()

    /// Ids so far: one per byte at most, so the room is reserved once.
    private let output: UnsafeMutablePointer<TokenID>
    private var count = 0

    /// Words up to this length use the linear scan.
    private static let shortWord = 48
    private let ids: UnsafeMutablePointer<TokenID>
    private let values: UnsafeMutablePointer<UInt64>
    private var long = LongWordMerger()

    /// A word seen before: where in the text, and where in the output its ids stand.
    private struct Seen {
        var start = 0
        var output = 0
        var length: Int32 = 0
        var count: Int32 = 0
    }
    private let seen: UnsafeMutablePointer<Seen>
    private let seenCount: Int

    init(
        text: UnsafeBufferPointer<UInt8>, start: UnsafePointer<UInt8>,
        merges: UnsafeBufferPointer<MergeTable.Slot>, byteIDs: UnsafePointer<TokenID>,
        characters: CharacterPieces?,
        wholeWords: ByteKeyTable?, model: Tokenizer.Tables.Model
    ) {
        self.model = model
        self.text = start
        self.merges = merges
        self.byteIDs = byteIDs
        self.characters = characters
        if case .merges = model { isByteLevel = characters == nil } else { isByteLevel = false }
        self.wholeWords = wholeWords
        output = .allocate(capacity: text.count + 1)
        ids = .allocate(capacity: WordEncoder.shortWord)
        values = .allocate(capacity: WordEncoder.shortWord)
        var size = 0
        var remembers = text.count > 256
        if case .unigram(let model) = model, model.runsOn { remembers = false }
        if remembers {
            size = 256
            while size < text.count / 8, size < 1 << 16 { size *= 2 }
        }
        seenCount = size
        seen = .allocate(capacity: max(size, 1))
        seen.initialize(repeating: Seen(), count: max(size, 1))
    }

    deinit {
        output.deallocate()
        ids.deallocate()
        values.deallocate()
        seen.deallocate()
    }

    consuming func finish(into ids: inout [TokenID]) {
        ids.append(contentsOf: UnsafeBufferPointer(start: output, count: count))
    }

    @inline(__always)
    mutating func append(_ id: TokenID) {
        output[count] = id
        count += 1
    }

    /// Appends the ids of the word `text[start..<end]`.
    @inline(__always)
    mutating func encode(from start: Int, to end: Int) {
        let length = end - start
        if length == 1, isByteLevel {
            let id = byteIDs[Int(text[start])]
            if id >= 0 { append(id) }
            return
        }
        guard seenCount > 0, length <= 256 else {
            merge(start, length)
            return
        }
        let hash = hashBytes(text + start, length)
        let slot = Int(truncatingIfNeeded: hash) & (seenCount - 1)
        let known = seen[slot]
        if Int(known.length) == length, isEqual(known.start, start, length) {
            for index in 0..<Int(known.count) { output[count + index] = output[known.output + index] }
            count += Int(known.count)
            return
        }
        let before = count
        merge(start, length)
        seen[slot] = Seen(start: start, output: before, length: Int32(length), count: Int32(count - before))
    }

    @inline(__always)
    private func isEqual(_ left: Int, _ right: Int, _ length: Int) -> Bool {
        let left = UnsafeRawPointer(text + left)
        let right = UnsafeRawPointer(text + right)
        var offset = 0
        while offset + 8 <= length {
            if left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                != right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            {
                return false
            }
            offset += 8
        }
        while offset < length {
            if left.load(fromByteOffset: offset, as: UInt8.self)
                != right.load(fromByteOffset: offset, as: UInt8.self)
            {
                return false
            }
            offset += 1
        }
        return true
    }

    private mutating func merge(_ start: Int, _ length: Int) {
        switch model {
        case .merges: break
        case .unigram(let model):
            let word = UnsafeBufferPointer(start: text + start, count: length)
            count += model.encode(word, &unigram, to: output + count)
            return
        case .wordPiece(let model):
            count += model.encode(UnsafeBufferPointer(start: text + start, count: length), to: output + count)
            return
        }
        if let wholeWords, let id = wholeWords.find(UnsafeBufferPointer(start: text + start, count: length)) {
            append(TokenID(id))
            return
        }
        if length > WordEncoder.shortWord {
            let size = firstPieces(start, length, output + count)
            count += long.merge(size, merges: merges, in: output + count)
        } else {
            mergeShort(start, length)
        }
    }

    /// Writes what a word is before merges; bytes without a token are dropped.
    @inline(__always)
    private func firstPieces(_ start: Int, _ length: Int, _ ids: UnsafeMutablePointer<TokenID>) -> Int {
        if let characters {
            return characters.write(UnsafeBufferPointer(start: text + start, count: length), to: ids)
        }
        var size = 0
        for index in 0..<length {
            let id = byteIDs[Int(text[start + index])]
            if id >= 0 {
                ids[size] = id
                size += 1
            }
        }
        return size
    }

    /// Joins the best pair, leftmost first, until none is left.
    private mutating func mergeShort(_ start: Int, _ length: Int) {
        var size = firstPieces(start, length, ids)
        guard size > 0 else { return }
        for index in 0..<(size - 1) {
            values[index] = MergeTable.find(ids[index], ids[index + 1], in: merges)
        }
        while size > 1 {
            var best = MergeTable.none
            var place = 0
            for index in 0..<(size - 1) where values[index] >> 32 < best >> 32 {
                best = values[index]
                place = index
            }
            if best == MergeTable.none { break }
            ids[place] = TokenID(truncatingIfNeeded: best)
            size -= 1
            for index in (place + 1)..<max(size, place + 1) {
                ids[index] = ids[index + 1]
                values[index - 1] = values[index]
            }
            if place + 1 < size { values[place] = MergeTable.find(ids[place], ids[place + 1], in: merges) }
            if place > 0 { values[place - 1] = MergeTable.find(ids[place - 1], ids[place], in: merges) }
        }
        for index in 0..<size { output[count + index] = ids[index] }
        count += size
    }
}
