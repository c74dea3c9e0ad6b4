/// How the rows of a head's query and key weights stand, which decides how rotary positions pair them.
public enum RotaryStyle: String, Sendable {
    /// Rows 2i and 2i + 1 turn together: GGUF files of the Llama family.
    case interleaved
    /// Rows i and i + headWidth/2 turn together: Hugging Face.
    case halves
}

/// The order that brings rows of one style into the other: row i of the result is row `order[i]` of the source.
///
/// - Precondition: `headWidth` is even.
package func rotaryRowOrder(heads: Int, headWidth: Int, from: RotaryStyle, to: RotaryStyle) -> [Int] {
    precondition(headWidth.isMultiple(of: 2), "a head of \(headWidth) rows has no pairs")
    guard from != to else { return Array(0..<heads * headWidth) }
    let half = headWidth / 2
    var order: [Int] = []
    order.reserveCapacity(heads * headWidth)
    for head in 0..<heads {
        for row in 0..<headWidth {
            let source = to == .halves ? row % half * 2 + row / half : row % 2 * half + row / 2
            order.append(head * headWidth + source)
        }
    }
    return order
}

extension ModelConfiguration {
    /// The order in which a written folder has the rows of a matrix; nil where it keeps this model's.
    public func writtenRowOrder(of name: String) -> [Int]? {
        if let order = folderRowOrder(of: name) { return order.inverse }
        guard rotaryStyle == .interleaved, let heads = rotaryHeads(of: name) else { return nil }
        return rotaryRowOrder(heads: heads, headWidth: headWidth, from: .interleaved, to: .halves)
    }
}

extension ModelConfiguration {
    /// Where each row of a matrix or bias stands in folders, of families whose folders hold q, k and v head by head;
    /// nil for others.
    func folderRowOrder(of name: String) -> [Int]? {
        guard family.interleavesQueryKeyValue, let place = family.names.place(huggingFace: name),
            place.role == .queryKeyValue || place.role == .queryKeyValueBias, let layer = place.layer
        else { return nil }
        let heads = shape(ofLayer: layer).heads
        return (0..<3).flatMap { part in
            (0..<heads).flatMap { head in
                (0..<headWidth).map { (head * 3 + part) * headWidth + $0 }
            }
        }
    }
}

extension [Int] {
    /// Of a permutation.
    var inverse: [Int] {
        var result = self
        for (place, source) in enumerated() { result[source] = place }
        return result
    }
}
