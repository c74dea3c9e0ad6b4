import Glibc

extension Machine {
    /// What this process holds in memory now, in bytes; 0 when the system does not say.
    static var residentBytes: Int {
        let fields = (FileTree.text(of: "/proc/self/statm") ?? "").split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The same without pages of files, which the system can take back.
    static var ownBytes: Int {
        let fields = (FileTree.text(of: "/proc/self/statm") ?? "").split(separator: " ")
        guard fields.count > 2, let pages = Int(fields[1]), let shared = Int(fields[2]) else { return 0 }
        return (pages - shared) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
