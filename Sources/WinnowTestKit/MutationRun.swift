import WinnowNumbers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Feeds damaged copies of a file to a reader and holds the reader to what is promised: it opens the copy or
/// throws, soon, and without much memory.
public struct MutationRun {
    public let name: String
    /// Copies that were tried.
    public private(set) var inputs = 0
    /// Copies that the reader took.
    public private(set) var opened = 0
    public private(set) var longestSeconds = 0.0
    /// How far the process's peak memory rose.
    public private(set) var grownBytes = 0
    /// Errors of types that the reader does not promise, with the input's number.
    public private(set) var strangers: [String] = []

    /// How often to repeat the seeded run; `WINNOW_MUTATIONS` raises it for a long one.
    public static let scale: Int = getenv("WINNOW_MUTATIONS").flatMap { Int(String(cString: $0)) } ?? 1

    /// Damages bytes.
    public init(
        _ name: String, _ bytes: [UInt8], seed: UInt64, count: Int, window: Int = .max,
        isExpected: (any Error) -> Bool, read: ([UInt8]) throws -> Void
    ) {
        var mutator = ByteMutator(seed: seed)
        self.init(
            name, count: count, damaged: { mutator.mutated(bytes, window: window) }, isExpected: isExpected,
            read: read)
    }

    /// - Parameter damaged: the next damaged copy.
    /// - Parameter isExpected: whether the reader may throw this error.
    /// - Parameter read: takes a damaged copy.
    public init(
        _ name: String, count: Int, damaged: () -> [UInt8], isExpected: (any Error) -> Bool,
        read: ([UInt8]) throws -> Void
    ) {
        self.name = name
        let before = MutationRun.peakBytes
        let clock = ContinuousClock()
        for _ in 0..<count * MutationRun.scale {
            let copy = damaged()
            let elapsed = clock.measure {
                do {
                    try read(copy)
                    opened += 1
                } catch {
                    if !isExpected(error) || "\(error)".isEmpty {
                        strangers.append("input \(inputs): \(error)")
                    }
                }
            }
            longestSeconds = max(longestSeconds, elapsed / .seconds(1))
            inputs += 1
        }
        grownBytes = MutationRun.peakBytes - before
        print(
            "\(name): \(inputs) damaged inputs tried, \(opened) opened, longest \(Int(longestSeconds * 1000)) ms, "
                + "peak memory grew by \(Format.bytes(grownBytes))")
    }

    /// VmHWM where there is one: `getrusage` begins with the peak of the process that started this one, and hides
    /// all growth under it.
    private static var peakBytes: Int {
        if let file = fopen("/proc/self/status", "r") {
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 256)
            while fgets(&line, Int32(line.count), file) != nil {
                let text = String(
                    decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                guard text.hasPrefix("VmHWM:") else { continue }
                let kibibytes = text.split { $0 == " " || $0 == "\t" }.dropFirst().first
                return (kibibytes.flatMap { Int($0) } ?? 0) * 1024
            }
        }
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        return usage.ru_maxrss * 1024
    }
}
