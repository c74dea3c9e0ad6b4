import WinnowJSON

/// A repository on a Hugging Face hub: its list of files, and their addresses.
struct HubRepository: Sendable {
    struct File: Sendable, Equatable {
        let name: String
        /// nil when the hub does not say.
        let bytes: Int?
        /// Known for large files.
        let sha256: String?
    }

    let reference: HubReference
    let endpoint: String
    let token: String?

    /// `HF_ENDPOINT` and `HF_TOKEN` as Hugging Face's own tools read them.
    init(_ reference: HubReference) {
        self.reference = reference
        var endpoint = EnvironmentVariable.text("HF_ENDPOINT") ?? "https://huggingface.co"
        while endpoint.hasSuffix("/") { endpoint.removeLast() }
        self.endpoint = endpoint
        token = EnvironmentVariable.text("HF_TOKEN")
    }

    func address(of file: String) -> String {
        "\(endpoint)/\(reference.id)/resolve/\(reference.revision)/\(file.replacing(" ", with: "%20"))"
    }

    /// The files of the revision.
    func files() async throws -> [File] {
        let address = "\(endpoint)/api/models/\(reference.id)/revision/\(reference.revision)"
        let text: String
        do {
            text = try await Download.text(address + "?blobs=true", token: token)
        } catch DownloadError.notFound {
            // A mirror that knows no queries gives the list without sizes and sums.
            text = try await Download.text(address, token: token)
        }
        guard let json = try? JSONValue(parsing: text), let siblings = json["siblings"]?.array else {
            throw CommandError(
                "the hub's list of files is not understood", at: address, remedy: "check HF_ENDPOINT")
        }
        return try siblings.map { entry in
            guard let name = entry["rfilename"]?.string, SafeName.isRelativePath(name) else {
                let name = entry["rfilename"]?.string ?? "no name"
                throw CommandError("the hub lists a file name that is not safe", at: "\(address) (\(name))")
            }
            return File(
                name: name, bytes: entry["lfs"]?["size"]?.integer ?? entry["size"]?.integer,
                sha256: entry["lfs"]?["sha256"]?.string ?? entry["lfs"]?["oid"]?.string)
        }
    }

    /// The files that make a model: safetensors with configuration and tokenizer, or one GGUF.
    ///
    /// - Throws: ``CommandError`` when there is none, or when several GGUF files leave a choice.
    func modelFiles(of files: [File]) throws(CommandError) -> [File] {
        let place = "hf:\(reference.id)@\(reference.revision)"
        if let wanted = reference.file {
            let found = files.filter { $0.name == wanted }
            if found.isEmpty {
                throw CommandError("no such file in the repository", at: "\(place)/\(wanted)")
            }
            return found
        }
        let top = files.filter { !$0.name.contains("/") }
        if top.contains(where: { $0.name.hasSuffix(".safetensors") }) {
            let kinds = [".safetensors", ".json", ".txt", ".model", ".jinja"]
            return top.filter { file in
                kinds.contains { file.name.hasSuffix($0) } || file.name.hasPrefix("LICENSE")
            }
        }
        let ggufs = files.filter { $0.name.hasSuffix(".gguf") }
        guard !ggufs.isEmpty else {
            throw CommandError(
                "no safetensors and no GGUF in the repository", at: place, remedy: "choose another one")
        }
        guard ggufs.count == 1 else {
            let names = ggufs.map(\.name).joined(separator: ", ")
            throw CommandError(
                "several models in the repository", at: place,
                remedy: "name one: hf:\(reference.id)@\(reference.revision)/FILE with FILE of \(names)")
        }
        return ggufs
    }
}
