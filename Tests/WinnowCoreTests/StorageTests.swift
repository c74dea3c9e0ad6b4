import Testing
import WinnowCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder of this test's own, removed with it.
private final class Scratch {
    let path: String

    init() {
        var template = Array("/tmp/winnow-core-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit { rmdir(path) }

    func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) rethrows -> Result {
        let file = path + "/file"
        let descriptor = open(file, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        defer { unlink(file) }
        return try body(file)
    }
}

@Suite struct StorageTests {
    @Test(arguments: [0, 1, 4096, 10_001]) func mapsAFile(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31) }
        let storage = try Scratch().withFile(bytes) { try Storage.mapping($0) }
        // The file is gone from its folder by now: the mapping keeps its bytes.
        #expect(storage.byteCount == count)
        #expect(StorageSlice(storage).bytes.elementsEqual(bytes))
        withExtendedLifetime(storage) {}
    }

    @Test func refusesWhatIsNoFile() {
        let scratch = Scratch()
        let missing = scratch.path + "/missing"
        #expect(throws: FileError(missing, operation: "open", code: ENOENT)) { try Storage.mapping(missing) }
        #expect(throws: FileError(scratch.path, operation: "open", code: EISDIR)) { try Storage.mapping(scratch.path) }
        #expect(throws: FileError("/dev/null", operation: "open", code: EINVAL)) { try Storage.mapping("/dev/null") }
    }

    @Test func sayWhatTheSystemRefused() {
        let error = FileError("a/b", operation: "open", code: ENOENT)
        #expect(error.description == "cannot open a/b: No such file or directory; check the path")
    }

    @Test func aFillThatFailsFailsTheStorage() {
        struct Refusal: Error {}
        #expect(throws: Refusal.self) { try Storage(byteCount: 8) { _ in throw Refusal() } }
    }

    @Test func slicesSeeTheirRange() {
        let storage = Storage(copying: [UInt8](0..<10))
        #expect(StorageSlice(storage, offset: 3, byteCount: 4).bytes.elementsEqual([3, 4, 5, 6]))
        #expect(StorageSlice(storage, offset: 7).bytes.elementsEqual([7, 8, 9]))
        #expect(StorageSlice(storage, offset: 10).byteCount == 0)
        let copy = StorageSlice(copying: [UInt16(0x0102)])
        #expect(copy.bytes.elementsEqual([2, 1]))
        // The bytes are pointers: what owns them must live as long.
        withExtendedLifetime((storage, copy)) {}
    }

    @Test func slicesPastTheEndAreACallersMistake() async {
        await #expect(processExitsWith: .failure) {
            _ = StorageSlice(Storage(copying: [UInt8](0..<10)), offset: 8, byteCount: 3)
        }
        await #expect(processExitsWith: .failure) {
            _ = StorageSlice(Storage(copying: [UInt8](0..<10)), offset: 1, byteCount: .max)
        }
    }
}
