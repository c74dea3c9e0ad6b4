import Glibc

/// The folder of fetched models.
///
/// `models/NAME` holds finished ones; `partial/NAME` holds downloads on their way, kept so that they resume, and
/// renamed when complete and checked.
struct ModelCache: Sendable {
    let root: String

    /// `--cache`, `WINNOW_CACHE`, then a `winnow` folder in `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` or
    /// `~/.cache`.
    init(_ options: CacheOptions) throws(CommandError) {
        if let own = options.cache ?? EnvironmentVariable.text("WINNOW_CACHE") {
            root = own
        } else if let shared = EnvironmentVariable.text("HF_HUB_CACHE") ?? EnvironmentVariable.text("HF_HOME")
            ?? EnvironmentVariable.text("XDG_CACHE_HOME")
        {
            root = shared + "/winnow"
        } else if let home = EnvironmentVariable.text("HOME") {
            root = home + "/.cache/winnow"
        } else {
            throw CommandError(
                "no cache folder: HOME is not set", remedy: "give --cache DIR or set WINNOW_CACHE")
        }
    }

    func finished(_ name: String) -> String { "\(root)/models/\(name)" }
    func partial(_ name: String) -> String { "\(root)/partial/\(name)" }

    /// Names of the finished models, sorted.
    var names: [String] { FileTree.entries(of: "\(root)/models").filter { !$0.hasPrefix(".") } }

    /// The path a model is opened by: its only GGUF file, else its folder.
    func path(of name: String) -> String? {
        let folder = finished(name)
        guard FileTree.isDirectory(folder) else { return nil }
        return ModelCache.modelPath(in: folder)
    }

    /// The path a model is opened by, in a folder of any depth: a folder with `config.json`, else the only GGUF
    /// file, else the folder itself.
    static func modelPath(in folder: String) -> String {
        let files = FileTree.files(below: folder)
        if files.contains("config.json") { return folder }
        let ggufs = files.filter { $0.hasSuffix(".gguf") }
        if ggufs.count == 1 { return folder + "/" + ggufs[0] }
        let configs = files.filter { $0.hasSuffix("/config.json") }
        if ggufs.isEmpty, configs.count == 1 { return FileTree.parent(of: folder + "/" + configs[0]) }
        return folder
    }

    /// Runs work that fetches one model; a second process that wants the same one waits.
    func locked<Result>(
        _ name: String, _ output: OutputOptions, _ work: () async throws -> Result
    ) async throws -> Result {
        try FileTree.makeDirectories("\(root)/models")
        try FileTree.makeDirectories(partial(name))
        let path = "\(root)/partial/.\(name).lock"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard file >= 0 else { throw FileTree.systemError("cannot write in the cache", path) }
        defer { close(file) }
        if flock(file, LOCK_EX | LOCK_NB) != 0 {
            output.note("waiting for another process that fetches \(name)")
            while flock(file, LOCK_EX | LOCK_NB) != 0 { try await Task.sleep(for: .milliseconds(200)) }
        }
        return try await work()
    }

    /// The snapshot of a repository that Hugging Face's own tools have fetched, when it is there with weights.
    static func hubSnapshot(of reference: HubReference) -> String? {
        let hub: String
        if let path = EnvironmentVariable.text("HF_HUB_CACHE") {
            hub = path
        } else if let home = EnvironmentVariable.text("HF_HOME") {
            hub = home + "/hub"
        } else if let cache = EnvironmentVariable.text("XDG_CACHE_HOME") {
            hub = cache + "/huggingface/hub"
        } else if let home = EnvironmentVariable.text("HOME") {
            hub = home + "/.cache/huggingface/hub"
        } else {
            return nil
        }
        let folder = "\(hub)/models--\(reference.organisation)--\(reference.name)"
        let commit = FileTree.text(of: "\(folder)/refs/\(reference.revision)")?.trimmed ?? reference.revision
        let snapshot = "\(folder)/snapshots/\(commit)"
        guard SafeName.isComponent(commit), FileTree.isDirectory(snapshot) else { return nil }
        if let file = reference.file {
            return FileTree.isFile("\(snapshot)/\(file)") ? "\(snapshot)/\(file)" : nil
        }
        let files = FileTree.files(below: snapshot)
        let ggufs = files.filter { $0.hasSuffix(".gguf") }
        if files.contains("config.json"), files.contains(where: { $0.hasSuffix(".safetensors") }) {
            return snapshot
        }
        return ggufs.count == 1 ? "\(snapshot)/\(ggufs[0])" : nil
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
