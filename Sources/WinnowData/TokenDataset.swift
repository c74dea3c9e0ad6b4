import WinnowCore
import WinnowText

/// Documents of one or more stores, or a part of them: what windows are cut from.
public struct TokenDataset: Sendable {
    /// A document, or a part of one that may be cut.
    struct Part: Sendable, Equatable {
        var store: Int
        var document: Int
        var range: Range<Int>
    }

    public let stores: [TokenStore]
    let parts: [Part]

    /// All documents.
    ///
    /// - Throws: ``DataError/empty(file:)`` when no document has two tokens: there is nothing to predict.
    public init(_ stores: [TokenStore]) throws(DataError) {
        var parts: [Part] = []
        for (index, store) in stores.enumerated() {
            for document in 0..<store.documentCount where store.range(document).count > 1 {
                parts.append(Part(store: index, document: document, range: store.range(document)))
            }
        }
        guard !parts.isEmpty else { throw .empty(file: stores.map(\.source).joined(separator: ", ")) }
        self.init(stores, parts)
    }

    private init(_ stores: [TokenStore], _ parts: [Part]) {
        self.stores = stores
        self.parts = parts
    }

    public var documentCount: Int { parts.count }
    public var tokenCount: Int { parts.reduce(0) { $0 + $1.range.count } }

    /// Two datasets without a document in common: `share` of the documents, at least one, drawn by the seed,
    /// is the second. Of a single text, the end of it is.
    ///
    /// - Throws: ``DataError`` when the share is no share or leaves one of the two empty.
    public func split(
        validation share: Double, seed: UInt64 = 0
    ) throws(DataError) -> (training: TokenDataset, validation: TokenDataset?) {
        guard share >= 0, share < 1 else { throw .badValidation(share: share) }
        if share == 0 { return (self, nil) }
        if parts.count == 1 {
            let part = parts[0], store = stores[part.store]
            let held = max(2, Int((Double(part.range.count) * share).rounded()))
            guard store.mayBeCut(part.document), part.range.count - held >= 2 else {
                throw .tooLittle(tokens: part.range.count, needed: "a validation share of \(share)")
            }
            let cut = part.range.upperBound - held
            return (
                TokenDataset(
                    stores,
                    [Part(store: part.store, document: part.document, range: part.range.lowerBound..<cut)]),
                TokenDataset(
                    stores,
                    [Part(store: part.store, document: part.document, range: cut..<part.range.upperBound)])
            )
        }
        let held = min(max(1, Int((Double(parts.count) * share).rounded())), parts.count - 1)
        let order = SeededOrder.permutation(parts.count, seed: seed)
        let drawn = Set(order[..<held].map(Int.init))
        return (
            TokenDataset(stores, parts.indices.filter { !drawn.contains($0) }.map { parts[$0] }),
            TokenDataset(stores, parts.indices.filter { drawn.contains($0) }.map { parts[$0] })
        )
    }
}

/// Orders that are the same for the same seed, on every machine.
enum SeededOrder {
    /// The numbers below `count` in a drawn order (Fisher and Yates).
    static func permutation(_ count: Int, seed: UInt64) -> [UInt32] {
        var order = (0..<UInt32(count)).map { $0 }
        var random = Random(seed: seed)
        for index in stride(from: count - 1, to: 0, by: -1) {
            let other = Int(random.next().multipliedFullWidth(by: UInt64(index + 1)).high)
            order.swapAt(index, other)
        }
        return order
    }
}
