extension Tokenizer {
    /// What encoding and decoding look up; made once, never changed.
    final class Tables: Sendable {
        /// What makes tokens of words.
        enum Model: Sendable {
            case merges
            case unigram(UnigramModel)
            case wordPiece(WordPieceModel)
        }

        let model: Model
        /// Whether words of white space have no tokens.
        let dropsSpaces: Bool
        let normalizer: Normalizer
        let spaceMarks: SpaceMarks?
        let cuts: [WordCut]
        let merges: MergeTable
        /// The token of each single byte, -1 where the vocabulary has none: such bytes are dropped.
        let byteIDs: [TokenID]
        /// What begins the merges of characters, nil for byte-level models.
        let characters: CharacterPieces?
        /// Ids by spelling.
        let pieces: ByteKeyTable
        /// Ids by bytes, when whole words are taken before merging.
        let wholeWords: ByteKeyTable?
        /// Token i decodes to `bytes[offsets[i]..<offsets[i + 1]]`.
        let bytes: [UInt8]
        let offsets: [Int32]
        /// Added tokens: those found in the text as it is, then those found in its normalized form.
        let matchers: (AddedTokenMatcher, AddedTokenMatcher)
        /// The same without control tokens.
        let matchersOfText: (AddedTokenMatcher, AddedTokenMatcher)

        init(_ definition: TokenizerDefinition) throws(TokenizerError) {
            normalizer = definition.normalizer
            spaceMarks = definition.spaceMarks
            cuts = definition.preTokenizer.cuts
            merges = MergeTable(
                definition.merges, scores: definition.model == .characterBPE ? definition.scores : [])
            var pieces = ByteKeyTable(capacity: definition.tokens.count)
            for token in definition.tokens { _ = pieces.append(token) }
            self.pieces = pieces
            (bytes, offsets) = Tables.decodedBytes(definition)
            let isByteLevel = definition.model == .byteLevelBPE
            byteIDs =
                isByteLevel
                ? ByteAlphabet.scalars.map { TokenID(pieces.find(String(Character($0))) ?? -1) }
                : CharacterPieces.byteIDs(pieces)
            characters = isByteLevel ? nil : CharacterPieces(definition, pieces: pieces, byteIDs: byteIDs)
            switch definition.model {
            case .byteLevelBPE, .characterBPE: model = .merges
            case .unigram: model = .unigram(try UnigramModel(definition, byteIDs: byteIDs))
            case .wordPiece: model = .wordPiece(try WordPieceModel(definition))
            }
            dropsSpaces = definition.model == .wordPiece
            if definition.ignoresMerges {
                if isByteLevel {
                    var table = ByteKeyTable(capacity: definition.tokens.count)
                    for id in definition.tokens.indices {
                        bytes[Int(offsets[id])..<Int(offsets[id + 1])].withUnsafeBufferPointer {
                            _ = table.append($0)
                        }
                    }
                    wholeWords = table
                } else {
                    wholeWords = pieces
                }
            } else {
                wholeWords = nil
            }
            let normalizer = normalizer
            func matchers(_ tokens: [TokenizerDefinition.AddedToken]) -> (
                AddedTokenMatcher, AddedTokenMatcher
            ) {
                // The text that the second one looks into is normalized, and so is what it looks for.
                let normalized = tokens.filter(\.isNormalized).map { token in
                    guard !normalizer.isEmpty, !definition.isSentencePiece else { return token }
                    var token = token
                    token.content = String(decoding: normalizer.normalize(token.content), as: UTF8.self)
                    return token
                }
                return (AddedTokenMatcher(tokens.filter { !$0.isNormalized }), AddedTokenMatcher(normalized))
            }
            self.matchers = matchers(definition.addedTokens)
            matchersOfText = matchers(definition.addedTokens.filter { !$0.isSpecial })
        }

        /// What each token decodes to, one after the other, and where each begins.
        private static func decodedBytes(_ definition: TokenizerDefinition) -> ([UInt8], [Int32]) {
            let added = Set(definition.addedTokens.map(\.id))
            var bytes: [UInt8] = []
            var offsets: [Int32] = [0]
            bytes.reserveCapacity(definition.tokens.count * 8)
            offsets.reserveCapacity(definition.tokens.count + 1)
            for (id, token) in definition.tokens.enumerated() {
                let isVerbatim = added.contains(TokenID(id)) && definition.model != .wordPiece
                let isMarked = definition.isSentencePiece && definition.kinds[id] == .userDefined
                if isVerbatim, !isMarked {
                    bytes.append(contentsOf: token.utf8)
                } else {
                    switch definition.model {
                    case .byteLevelBPE: ByteAlphabet.append(token, to: &bytes)
                    case .characterBPE, .unigram:
                        if let byte = CharacterPieces.byte(token) {
                            bytes.append(byte)
                        } else {
                            bytes.append(contentsOf: spaced(Array(token.utf8)))
                        }
                    case .wordPiece:
                        let (isStart, text) = WordPieceModel.split(token, definition) ?? (true, [])
                        if isStart || added.contains(TokenID(id)) { bytes.append(0x20) }
                        bytes.append(contentsOf: text)
                    }
                }
                offsets.append(Int32(bytes.count))
            }
            return (bytes, offsets)
        }

        /// A piece with spaces for U+2581.
        private static func spaced(_ bytes: [UInt8]) -> [UInt8] {
            guard bytes.contains(SpaceMarks.mark[0]) else { return bytes }
            var result: [UInt8] = []
            var index = 0
            while index < bytes.count {
                if bytes[index...].starts(with: SpaceMarks.mark) {
                    result.append(0x20)
                    index += 3
                } else {
                    result.append(bytes[index])
                    index += 1
                }
            }
            return result
        }

        func append(_ id: TokenID, to output: inout [UInt8]) {
            guard id >= 0, Int(id) < offsets.count - 1 else { return }
            output.append(contentsOf: bytes[Int(offsets[Int(id)])..<Int(offsets[Int(id) + 1])])
        }
    }
}
