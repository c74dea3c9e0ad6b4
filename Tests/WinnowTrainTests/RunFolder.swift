import WinnowIO
import WinnowTestKit

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder for runs, gone with the last reference.
final class RunFolder {
    private let base: String

    init() throws {
        var template = Array("/tmp/winnow-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw FileSystemRefusal(code: errno)
        }
        base = String(cString: made)
    }

    deinit { AtomicOutput.remove(base) }

    func path(_ name: String) -> String { "\(base)/\(name)" }

    struct FileSystemRefusal: Error { let code: Int32 }
}
