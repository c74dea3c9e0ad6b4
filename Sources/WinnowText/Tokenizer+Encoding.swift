/// From a text to ids: added tokens, normalizer, added tokens of normalized text, words, tokens.
extension Tokenizer.Tables {
    /// Encodes valid UTF-8.
    func encode(
        _ text: UnsafeBufferPointer<UInt8>, special: SpecialTokens, first: TokenID?
    ) -> [TokenID] {
        var ids = first.map { [$0] } ?? []
        guard !text.isEmpty else { return ids }
        let (plain, normalized) = special == .parse ? matchers : matchersOfText
        // The common case, where words are parts of the text itself.
        if normalizer.isEmpty, spaceMarks == nil, case .merges = model {
            encodeMerging(text, [plain, normalized].filter { !$0.isEmpty }[...], into: &ids)
            return ids
        }
        forEachPart(text, plain) { part, id in
            if let id {
                ids.append(id)
                return
            }
            let isFirst = part.lowerBound == 0
            normalizer.normalize(UnsafeBufferPointer(rebasing: text[part])).withUnsafeBufferPointer { text in
                forEachPart(text, normalized) { part, id in
                    if let id {
                        ids.append(id)
                        return
                    }
                    let text = UnsafeBufferPointer(rebasing: text[part])
                    guard let spaceMarks else {
                        encodeWords(text, into: &ids)
                        return
                    }
                    spaceMarks.apply(to: Array(text), isFirst: isFirst && part.lowerBound == 0)
                        .withUnsafeBufferPointer { encodeWords($0, into: &ids) }
                }
            }
        }
        return ids
    }

    /// Calls `body` with the added tokens of a text and what lies between.
    private func forEachPart(
        _ text: UnsafeBufferPointer<UInt8>, _ matcher: AddedTokenMatcher,
        _ body: (Range<Int>, TokenID?) -> Void
    ) {
        var position = 0
        while !matcher.isEmpty, let match = matcher.next(in: text, from: position, end: text.count) {
            if position < match.range.lowerBound { body(position..<match.range.lowerBound, nil) }
            body(match.range, match.id)
            position = match.range.upperBound
        }
        if position < text.count { body(position..<text.count, nil) }
    }

    /// The tokens of a normalized text without added tokens.
    private func encodeWords(_ text: UnsafeBufferPointer<UInt8>, into ids: inout [TokenID]) {
        guard !text.isEmpty else { return }
        encodeMerging(text, [], into: &ids)
    }

    private func encodeMerging(
        _ text: UnsafeBufferPointer<UInt8>, _ matchers: ArraySlice<AddedTokenMatcher>,
        into ids: inout [TokenID]
    ) {
        guard let start = text.baseAddress else { return }
        WordScanner.withScanner(of: start) { scanner in
            merges.slots.withUnsafeBufferPointer { slots in
                byteIDs.withUnsafeBufferPointer { byteIDs in
                    var encoder = WordEncoder(
                        text: text, start: start, merges: slots, byteIDs: byteIDs.baseAddress!,
                        characters: characters, wholeWords: wholeWords, model: model)
                    encode(text, 0..<text.count, matchers, scanner, &encoder)
                    encoder.finish(into: &ids)
                }
            }
        }
    }

    /// Takes out added tokens of the first matcher, gives what is between to the rest.
    private func encode(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ matchers: ArraySlice<AddedTokenMatcher>,
        _ scanner: WordScanner, _ encoder: inout WordEncoder
    ) {
        guard let matcher = matchers.first else {
            scanner.forEachWord(cuts[...], from: range.lowerBound, end: range.upperBound) { start, end in
                // White space is a piece of BERT's cut, but no word.
                if dropsSpaces, scanner.step(start).kind == ScalarClass.space { return }
                encoder.encode(from: start, to: end)
            }
            return
        }
        var position = range.lowerBound
        while let match = matcher.next(in: text, from: position, end: range.upperBound) {
            if position < match.range.lowerBound {
                encode(text, position..<match.range.lowerBound, matchers.dropFirst(), scanner, &encoder)
            }
            encoder.append(match.id)
            position = match.range.upperBound
        }
        if position < range.upperBound {
            encode(text, position..<range.upperBound, matchers.dropFirst(), scanner, &encoder)
        }
    }
}
