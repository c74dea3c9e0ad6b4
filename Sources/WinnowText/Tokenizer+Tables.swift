extension Tokenizer {
    /// What encoding and decoding look up; made once, never changed.
    final class Tables: Sendable {
        let cuts: [WordCut]
        let merges: MergeTable
        /// The token of each single byte, -1 where the vocabulary has none: such bytes are dropped.
        let byteIDs: [TokenID]
        /// Ids by spelling.
        let pieces: ByteKeyTable
        /// Ids by bytes, when whole words are taken before merging.
        let wholeWords: ByteKeyTable?
        /// Token i decodes to `bytes[offsets[i]..<offsets[i + 1]]`.
        let bytes: [UInt8]
        let offsets: [Int32]
        /// Matchers in order of precedence, with and without control tokens.
        let matchers: [AddedTokenMatcher]
        let matchersOfText: [AddedTokenMatcher]

        init(_ definition: TokenizerDefinition) {
            cuts = definition.preTokenizer.cuts
            merges = MergeTable(definition.merges)
            let added = Set(definition.addedTokens.map(\.id))
            var bytes: [UInt8] = []
            var offsets: [Int32] = [0]
            var pieces = ByteKeyTable(capacity: definition.tokens.count)
            bytes.reserveCapacity(definition.tokens.count * 8)
            offsets.reserveCapacity(definition.tokens.count + 1)
            for (id, token) in definition.tokens.enumerated() {
                _ = pieces.append(token)
                if added.contains(TokenID(id)) {
                    bytes.append(contentsOf: token.utf8)
                } else {
                    ByteAlphabet.append(token, to: &bytes)
                }
                offsets.append(Int32(bytes.count))
            }
            self.bytes = bytes
            self.offsets = offsets
            self.pieces = pieces
            byteIDs = ByteAlphabet.scalars.map { scalar in
                guard let id = pieces.find(String(Character(scalar))) else { return -1 }
                return TokenID(id)
            }
            if definition.ignoresMerges {
                var table = ByteKeyTable(capacity: definition.tokens.count)
                for id in definition.tokens.indices {
                    bytes[Int(offsets[id])..<Int(offsets[id + 1])].withUnsafeBufferPointer {
                        _ = table.append($0)
                    }
                }
                wholeWords = table
            } else {
                wholeWords = nil
            }
            func matchers(_ tokens: [TokenizerDefinition.AddedToken]) -> [AddedTokenMatcher] {
                [false, true].map { isNormalized in
                    AddedTokenMatcher(tokens.filter { $0.isNormalized == isNormalized })
                }.filter { !$0.isEmpty }
            }
            self.matchers = matchers(definition.addedTokens)
            matchersOfText = matchers(definition.addedTokens.filter { !$0.isSpecial })
        }

        func append(_ id: TokenID, to output: inout [UInt8]) {
            guard id >= 0, Int(id) < offsets.count - 1 else { return }
            output.append(contentsOf: bytes[Int(offsets[Int(id)])..<Int(offsets[Int(id) + 1])])
        }

        /// Encodes valid UTF-8.
        func encode(
            _ text: UnsafeBufferPointer<UInt8>, special: SpecialTokens, first: TokenID?
        ) -> [TokenID] {
            guard let start = text.baseAddress, !text.isEmpty else { return first.map { [$0] } ?? [] }
            var ids: [TokenID] = []
            WordScanner.withScanner(of: start) { scanner in
                merges.slots.withUnsafeBufferPointer { slots in
                    byteIDs.withUnsafeBufferPointer { byteIDs in
                        var encoder = WordEncoder(
                            text: text, start: start, merges: slots, byteIDs: byteIDs.baseAddress!,
                            wholeWords: wholeWords)
                        if let first { encoder.append(first) }
                        encode(
                            text, 0..<text.count, special == .parse ? matchers[...] : matchersOfText[...],
                            scanner, &encoder)
                        ids = encoder.finish()
                    }
                }
            }
            return ids
        }

        /// Takes out added tokens of the first matcher, gives what is between to the rest.
        private func encode(
            _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ matchers: ArraySlice<AddedTokenMatcher>,
            _ scanner: WordScanner, _ encoder: inout WordEncoder
        ) {
            guard let matcher = matchers.first else {
                encodeWords(range, scanner, &encoder)
                return
            }
            var position = range.lowerBound
            while let match = matcher.next(in: text, from: position, end: range.upperBound) {
                if position < match.range.lowerBound {
                    encode(
                        text, position..<match.range.lowerBound, matchers.dropFirst(), scanner, &encoder)
                }
                encoder.append(match.id)
                position = match.range.upperBound
            }
            if position < range.upperBound {
                encode(text, position..<range.upperBound, matchers.dropFirst(), scanner, &encoder)
            }
        }

        private func encodeWords(_ range: Range<Int>, _ scanner: WordScanner, _ encoder: inout WordEncoder) {
            scanner.forEachWord(cuts[...], from: range.lowerBound, end: range.upperBound) { start, end in
                encoder.encode(from: start, to: end)
            }
        }
    }
}
