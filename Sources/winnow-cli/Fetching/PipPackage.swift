import WinnowReport

/// A wheel of the Python index, fetched and unpacked; nothing in it is run.
struct PipPackage: Sendable {
    let reference: PipReference

    init(_ reference: PipReference) { self.reference = reference }

    /// Fetches the wheel and unpacks it.
    ///
    /// Wheels only: building a source archive would run its code. pip checks the index's own checksum.
    ///
    /// - Parameter expectedBytes: about how much will come, for the progress bar.
    /// - Returns: a folder in `folder` that holds the wheel's files.
    func unpack(
        in folder: String, title: String, expectedBytes: Int?, _ progress: ProgressPrinter
    ) async throws -> String {
        let (wheels, files) = ("\(folder)/wheel", "\(folder)/unpacked")
        for path in [wheels, files] { FileTree.remove(path) }
        try FileTree.makeDirectories(wheels)
        try FileTree.makeDirectories("\(wheels)/tmp")
        PartialOutputs.add(wheels)
        PartialOutputs.add(files)
        defer {
            FileTree.remove(wheels)
            PartialOutputs.remove(wheels)
            PartialOutputs.remove(files)
        }
        let download = try await ChildProcess.run(
            "python3",
            [
                "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
                "--disable-pip-version-check", "--no-input", "--timeout", "5", "--retries", "1", "--dest",
                wheels,
                reference.requirement,
            ],
            // pip downloads in its temporary folder: there the file grows.
            environment: ["TMPDIR": "\(wheels)/tmp"]
        ) {
            let done = min(FileTree.bytes(of: wheels), expectedBytes ?? .max)
            progress.update(Progress(title, completed: done, total: expectedBytes, unit: .bytes))
        }
        guard download.status == 0 else { throw failure(download) }
        guard let wheel = FileTree.entries(of: wheels).first(where: { $0.hasSuffix(".whl") }) else {
            throw CommandError("pip brought no wheel", at: reference.requirement)
        }
        progress.update(
            Progress(title, completed: expectedBytes ?? 1, total: expectedBytes ?? 1, unit: .bytes))
        let unzip = try await ChildProcess.run(
            "python3", ["-m", "zipfile", "-e", "\(wheels)/\(wheel)", files])
        guard unzip.status == 0 else {
            throw CommandError("cannot unpack the wheel", at: wheel, remedy: unzip.complaint)
        }
        return files
    }

    private func failure(_ result: ChildProcess.Result) -> CommandError {
        let errors = result.errors
        if errors.contains("No module named pip") {
            return CommandError("pip is missing", at: "python3", remedy: "install python3-pip")
        }
        if errors.contains("No matching distribution") {
            return CommandError(
                "the index has no such wheel, or cannot be reached", at: reference.requirement,
                remedy: "check the name, the version and pip's index settings")
        }
        return CommandError("pip failed", at: reference.requirement, remedy: result.complaint)
    }
}
