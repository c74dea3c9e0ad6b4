/// How far a piece of work has come.
public struct Progress: Sendable, Equatable {
    public enum Unit: Sendable, Equatable {
        case bytes
        case items(String)
    }

    public var title: String
    public var completed: Int
    /// nil when nobody knows yet.
    public var total: Int?
    public var unit: Unit

    public init(_ title: String, completed: Int, total: Int?, unit: Unit = .items("")) {
        self.title = title
        self.completed = completed
        self.total = total
        self.unit = unit
    }

    var isComplete: Bool { total.map { completed >= $0 } ?? false }

    /// Done of all, with the unit: 12.0 MiB of 93.8 MiB, 3 of 30 layers.
    var amount: String {
        switch unit {
        case .bytes:
            return total.map { "\(Format.bytes(completed)) of \(Format.bytes($0))" }
                ?? Format.bytes(completed)
        case .items(let name):
            let done = Format.count(completed)
            return (total.map { "\(done) of \(Format.count($0))" } ?? done) + (name.isEmpty ? "" : " " + name)
        }
    }
}

/// Turns progress into what a terminal or a log shows, and decides when: a bar that is redrawn, or a line every
/// few seconds. Knows no clock and no file: both are the caller's.
public struct ProgressRenderer: Sendable {
    public enum Style: Sendable, Equatable {
        case bar(columns: Int)
        case lines(everySeconds: Double)
    }

    public enum Output: Sendable, Equatable {
        /// Replaces the line that is on the terminal now.
        case transient(String)
        /// A line that stays.
        case line(String)
    }

    private let style: Style
    private var title: String?
    private var startSeconds = 0.0
    private var startCompleted = 0
    private var lastSeconds = 0.0
    private var hasShown = false

    public init(_ style: Style) { self.style = style }

    /// What to show for progress seen at a time, or nil when it is too soon.
    public mutating func render(_ progress: Progress, atSeconds now: Double) -> Output? {
        if progress.title != title || progress.completed < startCompleted {
            title = progress.title
            startSeconds = now
            startCompleted = progress.completed
            lastSeconds = now
            hasShown = false
        }
        let elapsed = now - startSeconds
        let wait: Double
        switch style {
        case .bar: wait = hasShown ? 0.1 : 0.3
        case .lines(let interval): wait = hasShown ? interval : min(2, interval)
        }
        if progress.isComplete {
            defer { title = nil }
            guard hasShown else { return nil }
            return .line("\(progress.title): \(progress.amount), \(Format.duration(elapsed))")
        }
        guard now - lastSeconds >= wait else { return nil }
        lastSeconds = now
        hasShown = true
        switch style {
        case .bar(let columns): return .transient(bar(progress, elapsed: elapsed, columns: columns))
        case .lines: return .line("\(progress.title): \(progress.amount)\(left(progress, elapsed: elapsed))")
        }
    }

    /// Time left by the mean speed since this work was first seen; nothing before that means something.
    private func left(_ progress: Progress, elapsed: Double) -> String {
        let done = progress.completed - startCompleted
        guard let total = progress.total, done > 0, elapsed >= 0.5 else { return "" }
        let seconds = Double(total - progress.completed) / Double(done) * elapsed
        return ", \(Format.duration(max(seconds.rounded(), 1))) left"
    }

    private func bar(_ progress: Progress, elapsed: Double, columns: Int) -> String {
        let tail = " \(progress.amount)\(left(progress, elapsed: elapsed))"
        let width = min(30, columns - progress.title.count - tail.count - 2)
        guard let total = progress.total, total > 0, width >= 6 else {
            return String("\(progress.title)\(tail)".prefix(max(columns - 1, 1)))
        }
        return "\(progress.title) " + Format.bar(Double(progress.completed) / Double(total), width: width)
            + tail
    }
}
