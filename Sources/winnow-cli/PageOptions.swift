import ArgumentParser
import WinnowIO
import WinnowReport

/// A page that a verb writes beside what it prints.
struct PageOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Write a page with charts, and its figures as .json beside it.", valueName: "file.html"),
        completion: .file(extensions: ["html"]))
    var page: String?
    @Flag(help: "Replace an existing page.") var overwrite = false

    /// Where the figures go.
    private static func figures(beside page: String) -> String {
        (page.hasSuffix(".html") ? String(page.dropLast(5)) : page) + ".json"
    }

    /// Asked before long work, whose page would find no place.
    func check() throws {
        guard let page else { return }
        for path in [page, PageOptions.figures(beside: page)] {
            try AtomicOutput.check(path, .file, overwrite: overwrite)
        }
    }

    func write(_ content: Page, _ output: OutputOptions) throws {
        guard let page else { return }
        for (path, text) in [(page, content.html), (PageOptions.figures(beside: page), content.json)] {
            let file = try AtomicOutput(path, .file, overwrite: overwrite)
            try OutputFile.write(text, to: file.partialPath)
            try file.commit()
        }
        output.note("The page: \(page)")
    }
}
