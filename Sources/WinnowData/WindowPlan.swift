/// How a dataset is cut into windows: which piece of which document stands where. A value, made once.
///
/// A window holds `length` predictions: a token and the one after it, of the same document. A text fills
/// windows and goes on in the next; a conversation is put whole into the fullest of the open windows that
/// still has room.
public struct WindowPlan: Sendable {
    /// Predictions `first ..< first + count` of a part: from its tokens there to the ones after them.
    struct Piece: Sendable, Equatable {
        var part: UInt32
        var first: UInt32
        var count: UInt32
    }

    /// What becomes of a conversation that is longer than a window.
    public enum Overflow: String, Sendable, Codable {
        case fail
        /// The end is cut off.
        case cut
    }

    public let length: Int
    let pieces: [Piece]
    /// Where the pieces of each window begin, and the end of the last.
    let starts: [Int]
    /// Windows that stay open for whole documents.
    private static let openWindows = 32

    /// - Parameter packs: false gives each piece a window of its own.
    /// - Throws: ``DataError/tooManyTokens(file:line:tokens:window:)``.
    public init(
        _ dataset: TokenDataset, length: Int, packs: Bool = true, overflow: Overflow = .fail
    ) throws(DataError) {
        precondition(length > 0, "windows of \(length)")
        self.length = length
        var windows: [[Piece]] = []
        var text: (window: Int, room: Int)?
        var open: [(window: Int, room: Int)] = []
        for (index, part) in dataset.parts.enumerated() {
            let store = dataset.stores[part.store]
            var count = part.range.count - 1
            if store.mayBeCut(part.document) {
                var first = 0
                while first < count {
                    if text == nil || text!.room == 0 || !packs {
                        windows.append([])
                        text = (windows.count - 1, length)
                    }
                    let taken = min(text!.room, count - first)
                    windows[text!.window].append(
                        Piece(part: UInt32(index), first: UInt32(first), count: UInt32(taken)))
                    text!.room -= taken
                    first += taken
                }
                continue
            }
            if count > length {
                guard overflow == .cut else {
                    throw .tooManyTokens(
                        file: store.source, line: store.line(part.document), tokens: count + 1, window: length
                    )
                }
                count = length
            }
            let piece = Piece(part: UInt32(index), first: 0, count: UInt32(count))
            let fitting =
                packs
                ? open.indices.filter { open[$0].room >= count }.min { open[$0].room < open[$1].room } : nil
            if let fitting {
                windows[open[fitting].window].append(piece)
                open[fitting].room -= count
                if open[fitting].room == 0 { open.remove(at: fitting) }
            } else {
                windows.append([piece])
                open.append((windows.count - 1, length - count))
                if open.count > Self.openWindows {
                    // The fullest is given up.
                    open.remove(at: open.indices.min { open[$0].room < open[$1].room }!)
                }
            }
        }
        pieces = Array(windows.joined())
        var starts = [0]
        starts.reserveCapacity(windows.count + 1)
        for window in windows { starts.append(starts[starts.count - 1] + window.count) }
        self.starts = starts
    }

    public var windowCount: Int { starts.count - 1 }
}
