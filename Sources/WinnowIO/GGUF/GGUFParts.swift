import WinnowCore

/// The file or files of one GGUF model: `NAME.gguf`, or `NAME-00001-of-00003.gguf` and the parts that follow
/// it.
///
/// The first part holds the metadata; each says which part it is of how many (`split.no`, `split.count`) and
/// how many
/// tensors there are in all (`split.tensors.count`). Any part may be named: the others stand beside it.
package struct GGUFParts: Sendable {
    /// The metadata, which the first file has, with the tensors of all.
    package let whole: GGUFFile
    /// Tensors of all files, in order, with the file that each is in.
    package let tensors: [(tensor: GGUFFile.Tensor, path: String)]
    package let byteCount: Int

    /// - Throws: ``GGUFError`` for a part that is missing, belongs to another model, or holds too much or
    /// too little;
    ///   `FileError`.
    package init(_ storage: Storage, path: String) throws {
        let opened = try GGUFFile(parsing: storage, path: path)
        guard let split = try GGUFSplit(opened), split.count > 1 else {
            whole = opened
            tensors = opened.tensors.map { ($0, path) }
            byteCount = storage.byteCount
            return
        }
        let paths = try split.paths(of: opened)
        let missing = paths.filter { FilePath.kind($0) != .file }
        guard missing.isEmpty else {
            throw GGUFError.missingParts(file: path, parts: missing.map { FilePath.split($0).name })
        }
        var bytes = 0
        var files: [GGUFFile] = []
        for (index, partPath) in paths.enumerated() {
            let partStorage = index == split.index ? storage : try Storage.mapping(partPath)
            let part = index == split.index ? opened : try GGUFFile(parsing: partStorage, path: partPath)
            try split.check(try GGUFSplit(part), of: part, at: index)
            bytes += partStorage.byteCount
            files.append(part)
        }
        let tensors = files.flatMap { file in file.tensors.map { ($0, file.path) } }
        var seen = Set<String>()
        for (tensor, file) in tensors where !seen.insert(tensor.name).inserted {
            throw GGUFError.duplicateTensor(file: file, tensor: tensor.name)
        }
        if let expected = split.tensors, expected != tensors.count {
            throw GGUFError.wrongTensorCount(file: path, tensors: tensors.count, expected: expected)
        }
        whole = files[0].holding(tensors.map(\.0))
        self.tensors = tensors
        byteCount = bytes
    }
}

/// What a part says of itself.
private struct GGUFSplit {
    /// From 0.
    let index: Int
    let count: Int
    /// Tensors of all parts together, where the file says.
    let tensors: Int?

    /// nil for a file that says nothing of parts.
    init?(_ file: GGUFFile) throws(GGUFError) {
        guard let value = file["split.count"] else { return nil }
        func number(_ key: String, in range: ClosedRange<Int>) throws(GGUFError) -> Int {
            let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
            guard let value = file[key] else {
                throw .missingKey(file: file.path, key: key, expected: expected)
            }
            guard let number = value.integer, range.contains(number) else {
                throw .wrongValue(file: file.path, key: key, found: value.summary, expected: expected)
            }
            return number
        }
        // Some writers leave a count of zero or one in a file that was never cut.
        if let count = value.integer, count <= 1 { return nil }
        count = try number("split.count", in: 1...99_999)
        index = try number("split.no", in: 0...count - 1)
        tensors =
            file["split.tensors.count"] == nil ? nil : try number("split.tensors.count", in: 0...1 << 31)
    }

    /// Where all parts should be: their names differ in the number alone.
    func paths(of file: GGUFFile) throws(GGUFError) -> [String] {
        let ending = GGUFSplit.ending(index, of: count)
        guard file.path.hasSuffix(ending) else {
            throw .wrongPartName(file: file.path, part: index + 1, of: count, ending: ending)
        }
        let stem = file.path.dropLast(ending.utf8.count)
        return (0..<count).map { stem + GGUFSplit.ending($0, of: count) }
    }

    /// Whether the part at `place` is that part of this model.
    func check(_ other: GGUFSplit?, of file: GGUFFile, at place: Int) throws(GGUFError) {
        func expect(_ key: String, _ found: String, _ expected: String) throws(GGUFError) {
            guard found != expected else { return }
            throw .foreignPart(file: file.path, key: key, found: found, expected: expected)
        }
        guard let other else {
            throw .foreignPart(file: file.path, key: "split.count", found: "missing", expected: "\(count)")
        }
        try expect("split.count", "\(other.count)", "\(count)")
        try expect("split.no", "\(other.index)", "\(place)")
        try expect(
            "split.tensors.count", other.tensors.map { "\($0)" } ?? "missing",
            tensors.map { "\($0)" } ?? "missing")
    }

    /// `-00002-of-00003.gguf`.
    private static func ending(_ index: Int, of count: Int) -> String {
        func padded(_ number: Int) -> String {
            let text = "\(number)"
            return String(repeating: "0", count: max(5 - text.utf8.count, 0)) + text
        }
        return "-\(padded(index + 1))-of-\(padded(count)).gguf"
    }
}
