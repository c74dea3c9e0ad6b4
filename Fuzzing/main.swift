// winnow-fuzz READER [--folder FOLDER] [options of libFuzzer] [corpus...]: built and started by Tools/fuzz.
import WinnowTestKit

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// libFuzzer's own loop: mutates, calls `body`, keeps what reached new code.
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// libFuzzer's mutation of bytes; returns the new count.
@_silgen_name("LLVMFuzzerMutate")
func mutateBytes(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int) -> Int

/// One input.
@_cdecl("LLVMFuzzerTestOneInput")
public func test(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    Fuzzer.target?(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// Bytes as libFuzzer changes them, or for JSON half of the time a tree that stays JSON.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int, _ seed: UInt32) -> Int {
    guard Fuzzer.target?.isJSON == true, seed & 1 == 0,
        var mutator = try? JSONTreeMutator(
            Array(UnsafeBufferPointer(start: bytes, count: count)), seed: UInt64(seed))
    else { return mutateBytes(bytes, count, limit) }
    let changed = mutator.next()
    guard changed.count <= limit else { return mutateBytes(bytes, count, limit) }
    for (index, byte) in changed.enumerated() { bytes[index] = byte }
    return changed.count
}

/// libFuzzer's functions know no context: one reader for the process, chosen before its loop begins.
enum Fuzzer {
    nonisolated(unsafe) static var target: FuzzTarget?
}

func fail(_ message: String) -> Never {
    let line = "winnow-fuzz: \(message)\n"
    write(2, line, line.utf8.count)
    exit(2)
}

var arguments = Array(CommandLine.arguments.dropFirst())
guard !arguments.isEmpty else { fail("name a reader") }
let name = arguments.removeFirst()
var folder: String?
if arguments.first == "--folder", arguments.count > 1 {
    folder = arguments[1]
    arguments.removeFirst(2)
}
var template = Array("/tmp/winnow-fuzz-XXXXXX".utf8CString)
guard let scratch = mkdtemp(&template) else { fail("no scratch folder in /tmp") }
let targets = FuzzTarget.all(folder: folder, scratch: String(cString: scratch))
guard let target = targets.first(where: { $0.name == name }) else {
    fail("'\(name)' is none of \(targets.map(\.name).joined(separator: ", "))")
}
var count = Int32(arguments.count + 1)
var words = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: Int(count) + 1)
for (index, argument) in ([CommandLine.arguments[0]] + arguments).enumerated() { words[index] = strdup(argument) }
words[Int(count)] = nil
Fuzzer.target = target
exit(withUnsafeMutablePointer(to: &words) { runFuzzer(&count, $0, test) })
