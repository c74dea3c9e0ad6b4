import WinnowCore
import WinnowText

/// Reads a file of training data document by document, in bounded memory.
enum TokenizedFile {
    /// - Parameter flush: called after each document or piece; may take tokens out of the sink.
    static func read(
        _ source: String, _ tokenizer: RecordTokenizer, cancellation: CancellationFlag?,
        progress: (Int, Int) -> Void, flush: (TokenSink) throws -> Void, finish: (TokenSink) throws -> Void
    ) throws {
        let sink = TokenSink(tokens: [], table: [])
        func step(_ reader: BoundedReader) throws {
            if cancellation?.isCancelled == true { throw CancellationError() }
            try flush(sink)
            progress(reader.offset, reader.byteCount)
        }
        if source.hasSuffix(".jsonl") {
            var lines = try LineReader(source)
            while let line = try lines.next() {
                guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
                let number = lines.line
                let record = try TrainingRecord(line, file: source, number: number)
                var mayBeCut = false
                if case .text(let text) = record {
                    if text.isEmpty { continue }
                    mayBeCut = true
                }
                let (ids, learned) = try tokenizer.ids(of: record) {
                    .badLine(file: source, line: number, reason: $0)
                }
                sink.begin(line: number, mayBeCut: mayBeCut)
                sink.append(ids, learned: learned)
                try step(lines.reader)
            }
        } else {
            var pieces = try PieceReader(source, cuts: tokenizer.cutsTexts)
            var piece = try pieces.next()
            if piece != nil { sink.begin(line: 1, mayBeCut: true) }
            var isFirst = true
            while let bytes = piece {
                piece = try pieces.next()
                let ids = tokenizer.ids(piece: bytes, isFirst: isFirst, isLast: piece == nil)
                sink.append(ids, learned: [0..<ids.count])
                isFirst = false
                try step(pieces.reader)
            }
        }
        guard !sink.table.isEmpty else { throw DataError.empty(file: source) }
        try finish(sink)
    }

    /// A file in memory, without a cache.
    static func store(_ source: String, _ tokenizer: RecordTokenizer) throws -> TokenStore {
        var result: TokenStore?
        try read(source, tokenizer, cancellation: nil, progress: { _, _ in }, flush: { _ in }) {
            result = TokenStore(source: source, $0)
        }
        return result!
    }
}

extension TokenStore {
    /// A file tokenized in memory: for data too small to cache.
    ///
    /// - Throws: ``DataError``, `FileError`.
    public static func reading(
        _ source: String, tokenizer: Tokenizer, template: ChatTemplate? = nil
    ) throws -> TokenStore {
        try TokenizedFile.store(source, RecordTokenizer(tokenizer, template: template))
    }
}
