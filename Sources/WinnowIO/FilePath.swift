import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What is asked of the file system before a file is opened.
package enum FilePath {
    package enum Kind {
        case folder
        case file
        case other
    }

    /// nil when there is nothing at the path (links are followed).
    package static func kind(_ path: String) -> Kind? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .folder
        case S_IFREG: return .file
        default: return .other
        }
    }

    package static func exists(_ path: String) -> Bool { kind(path) != nil }

    static func byteCount(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Names in a folder, sorted; empty when it cannot be read.
    package static func entries(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Makes a folder where there is none; the one around it must be there.
    package static func makeFolder(_ path: String) throws(FileError) {
        guard mkdir(path, 0o755) != 0, errno != EEXIST || kind(path) != .folder else { return }
        throw FileError(path, operation: "create", code: errno)
    }

    static func rename(_ from: String, _ to: String) throws(FileError) {
        #if canImport(Glibc)
            let result = Glibc.rename(from, to)
        #elseif canImport(Musl)
            let result = Musl.rename(from, to)
        #else
            let result = Darwin.rename(from, to)
        #endif
        guard result == 0 else { throw FileError(to, operation: "create", code: errno) }
    }

    /// The name of a folder itself, where the path ends with one that only points to it (`.`, `..`).
    static func ownName(_ path: String) -> String? {
        let name = split(path).name
        guard name.isEmpty || name == "." || name == ".." else { return name == "/" ? nil : name }
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        let found = split(String(cString: real)).name
        return found.isEmpty || found == "/" ? nil : found
    }

    /// A path cut into the folder it is in and its last name, trailing slashes ignored.
    static func split(_ path: String) -> (folder: String, name: String) {
        var text = path[...]
        while text.count > 1, text.last == "/" { text.removeLast() }
        guard let slash = text.lastIndex(of: "/") else { return (".", String(text)) }
        let folder = text[..<slash]
        return (folder.isEmpty ? "/" : String(folder), String(text[text.index(after: slash)...]))
    }
}
