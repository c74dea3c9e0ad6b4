import Synchronization
import WinnowReport

/// Shows progress on standard error: a bar on a terminal, a line every five seconds elsewhere, nothing if quiet.
final class ProgressPrinter: Sendable {
    private let isShown: Bool
    private let renderer: Mutex<ProgressRenderer>
    private let start = ContinuousClock.now

    init(_ options: OutputOptions) {
        isShown = !options.quiet && options.logLevel >= .info
        let style: ProgressRenderer.Style =
            StandardError.isTerminal ? .bar(columns: StandardError.columns) : .lines(everySeconds: 5)
        renderer = Mutex(ProgressRenderer(style))
    }

    func update(_ progress: Progress) {
        guard isShown else { return }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        switch renderer.withLock({ $0.render(progress, atSeconds: seconds) }) {
        case .transient(let text): StandardError.writeTransient(text)
        case .line(let text): StandardError.write(text + "\n")
        case nil: break
        }
    }

    func update(_ title: String, _ completed: Int, of total: Int?, _ unit: String) {
        update(Progress(title, completed: completed, total: total, unit: .items(unit)))
    }
}
