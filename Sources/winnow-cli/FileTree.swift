import Glibc

/// The file system as the command needs it: paths in, facts out.
enum FileTree {
    static func isDirectory(_ path: String) -> Bool { mode(of: path).map { $0 & S_IFMT == S_IFDIR } ?? false }
    static func isFile(_ path: String) -> Bool { mode(of: path).map { $0 & S_IFMT == S_IFREG } ?? false }

    private static func mode(of path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode : nil
    }

    /// Bytes of a file, or of all files below a folder; symbolic links below count as what they point to.
    static func bytes(of path: String) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        guard status.st_mode & S_IFMT == S_IFDIR else { return Int(status.st_size) }
        return entries(of: path).reduce(0) { $0 + bytes(of: path + "/" + $1) }
    }

    /// Names in a folder, sorted; empty when it cannot be read.
    static func entries(of path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Relative paths of all files below a folder, sorted.
    static func files(below path: String) -> [String] {
        entries(of: path).flatMap { name in
            isDirectory(path + "/" + name) ? files(below: path + "/" + name).map { name + "/" + $0 } : [name]
        }
    }

    /// Relative paths of files below a folder whose names end so, sorted; hidden ones and their folders left out.
    static func files(below path: String, named suffix: String, depth: Int) -> [String] {
        entries(of: path).flatMap { name -> [String] in
            if name.hasPrefix(".") { return [] }
            if name.hasSuffix(suffix), isFile(path + "/" + name) { return [name] }
            guard depth > 0, isDirectory(path + "/" + name) else { return [] }
            return files(below: path + "/" + name, named: suffix, depth: depth - 1).map { name + "/" + $0 }
        }
    }

    static func makeDirectories(_ path: String) throws(CommandError) {
        guard !isDirectory(path), !path.isEmpty else { return }
        let parent = parent(of: path)
        if parent != path { try makeDirectories(parent) }
        if mkdir(path, 0o777) != 0, errno != EEXIST || !isDirectory(path) {
            throw systemError("cannot make the folder", path)
        }
    }

    /// Removes a file, or a folder with all in it; never follows symbolic links.
    static func remove(_ path: String) {
        if unlink(path) == 0 || errno == ENOENT { return }
        for name in entries(of: path) { remove(path + "/" + name) }
        rmdir(path)
    }

    static func rename(_ source: String, to destination: String) throws(CommandError) {
        guard Glibc.rename(source, destination) == 0 else {
            throw systemError("cannot move a finished download to its place", destination)
        }
    }

    /// The text of a small file, or nil.
    static func text(of path: String) -> String? {
        bytes(in: path).map { String(decoding: $0, as: UTF8.self) }
    }

    static func bytes(in path: String) -> [UInt8]? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while true {
            let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                count = fread(buffer.baseAddress, 1, 1 << 16, file)
            }
            if chunk.isEmpty { return ferror(file) == 0 ? bytes : nil }
            bytes += chunk
        }
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func lastComponent(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// An error that says what the system refused and why.
    static func systemError(_ what: String, _ path: String) -> CommandError {
        let reason = String(cString: strerror(errno))
        return CommandError(what, at: "\(path) (\(reason))", remedy: "check its permissions and free space")
    }
}
