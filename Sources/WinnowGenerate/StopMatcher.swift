/// Cuts a stream of text at the first stop text, holding back what may still become one.
package struct StopMatcher {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []

    package init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) } }

    /// What may be shown now, and whether a stop text was met.
    package mutating func append(_ text: String) -> (text: String, stopped: Bool) {
        guard !stops.isEmpty else { return (text, false) }
        held.append(contentsOf: text.utf8)
        var cut: Int?
        for stop in stops {
            if let found = held.firstRange(of: stop)?.lowerBound { cut = min(cut ?? found, found) }
        }
        if let cut {
            let shown = String(decoding: held[..<cut], as: UTF8.self)
            held = []
            return (shown, true)
        }
        // The longest end that begins some stop text stays back; it starts at a character's first byte,
        // since stop texts do.
        var keep = 0
        for stop in stops {
            for length in stride(from: min(stop.count - 1, held.count), to: keep, by: -1)
            where held.suffix(length).elementsEqual(stop.prefix(length)) {
                keep = length
                break
            }
        }
        let shown = String(decoding: held[..<(held.count - keep)], as: UTF8.self)
        held.removeFirst(held.count - keep)
        return (shown, false)
    }

    /// What is still held when the stream ends without a stop text.
    package mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }
}
