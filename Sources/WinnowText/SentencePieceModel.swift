/// What a `tokenizer.model` of SentencePiece says, as far as ids depend on it.
///
/// - Source: `sentencepiece_model.proto`; the numbers of its fields and their defaults.
struct SentencePieceModel {
    enum Algorithm: Int {
        case unigram = 1
        case merges = 2
        case word = 3
        case character = 4
    }

    var algorithm = Algorithm.unigram
    var pieces: [String] = []
    var scores: [Float] = []
    var kinds: [TokenKind] = []
    var hasByteFallback = false
    var normalization = SentencePieceNormalization()
    var unknown = 0
    var bos = 1
    var eos = 2
    var padding = -1

    private static let file = "tokenizer.model"

    /// More pieces than any vocabulary has.
    private static let maximumCount = 1 << 24

    init(_ bytes: UnsafeBufferPointer<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, name: SentencePieceModel.file)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let piece)): try readPiece(piece)
            case (2, .bytes(let trainer)): try readTrainer(trainer)
            case (3, .bytes(let normalizer)): try readNormalizer(normalizer)
            case (1, _), (2, _), (3, _):
                throw .malformed(SentencePieceModel.file, reason: "field \(field) is no message")
            default: break
            }
        }
        guard !pieces.isEmpty else { throw .emptyVocabulary }
    }

    private mutating func readPiece(_ bytes: UnsafeBufferPointer<UInt8>) throws(TokenizerError) {
        let id = pieces.count
        guard id < SentencePieceModel.maximumCount else {
            throw .idOutOfRange(name: "the number of pieces", id: id, count: SentencePieceModel.maximumCount)
        }
        var piece: String?
        var score: Float = 0
        var kind = TokenKind.normal
        var reader = ProtobufReader(bytes, name: "piece \(id) of \(SentencePieceModel.file)")
        while let (field, value) = try reader.next() {
            switch field {
            case 1:
                guard let bytes = value.bytes, let text = String(validating: bytes, as: UTF8.self) else {
                    throw .malformed(
                        "piece \(id) of \(SentencePieceModel.file)", reason: "its text is not UTF-8")
                }
                piece = text
            case 2:
                guard let number = value.float else { throw .badScore(token: id) }
                score = number
            case 3:
                guard let number = value.integer, let known = TokenKind(rawValue: Int32(number)) else {
                    throw .unknownKind(value.integer ?? -1, token: id)
                }
                kind = known
            default: break
            }
        }
        guard let piece, !piece.isEmpty else {
            throw .malformed("piece \(id) of \(SentencePieceModel.file)", reason: "it has no text")
        }
        pieces.append(piece)
        scores.append(score)
        kinds.append(kind)
    }

    private mutating func readTrainer(_ bytes: UnsafeBufferPointer<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, name: "trainer_spec of \(SentencePieceModel.file)")
        while let (field, value) = try reader.next() {
            switch field {
            case 3:
                guard let number = value.integer, let known = Algorithm(rawValue: number) else {
                    throw .unsupportedModel("SentencePiece model type \(value.integer ?? -1)")
                }
                algorithm = known
            case 24: normalization.marksEnd = value.bool ?? false
            case 35: hasByteFallback = value.bool ?? false
            case 40: unknown = value.integer ?? unknown
            case 41: bos = value.integer ?? bos
            case 42: eos = value.integer ?? eos
            case 43: padding = value.integer ?? padding
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ bytes: UnsafeBufferPointer<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, name: "normalizer_spec of \(SentencePieceModel.file)")
        while let (field, value) = try reader.next() {
            switch field {
            case 2:
                guard let map = value.bytes, !map.isEmpty else { continue }
                normalization.map = try CharacterMap(Array(map))
            case 3: normalization.addsMark = value.bool ?? true
            case 4: normalization.removesExtraSpaces = value.bool ?? true
            case 5: normalization.marksSpaces = value.bool ?? true
            default: break
            }
        }
    }
}
