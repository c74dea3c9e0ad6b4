import Glibc

/// What this process may use of the machine: cores by affinity and cgroup, memory by cgroup.
struct Machine: Sendable, Equatable {
    let cpuModel: String?
    /// Hardware threads that are online.
    let logicalCores: Int
    /// Hardware threads that affinity leaves.
    let allowedThreads: Int
    /// Physical cores under those threads.
    let physicalCores: Int
    let memoryBytes: Int
    /// What the kernel could give without swapping.
    let freeBytes: Int
    let cgroup: ControlGroup

    static let current = Machine()

    private init() {
        let info = FileTree.text(of: "/proc/cpuinfo") ?? ""
        cpuModel = info.split(separator: "\n").first { $0.hasPrefix("model name") }
            .flatMap { $0.split(separator: ":").last.map { String($0).trimmed } }
        logicalCores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let allowed = Machine.allowedProcessors() ?? Array(0..<logicalCores)
        allowedThreads = max(1, allowed.count)
        let cores = Set(
            allowed.map { processor in
                let folder = "/sys/devices/system/cpu/cpu\(processor)/topology"
                return FileTree.text(of: "\(folder)/core_cpus_list")
                    ?? FileTree.text(of: "\(folder)/thread_siblings_list") ?? "\(processor)"
            })
        physicalCores = max(1, cores.count)
        let memory = FileTree.text(of: "/proc/meminfo") ?? ""
        memoryBytes = Machine.field("MemTotal:", in: memory) ?? 0
        freeBytes = Machine.field("MemAvailable:", in: memory) ?? memoryBytes
        cgroup = ControlGroup.current
    }

    /// Threads worth starting: physical cores, less when the cgroup grants less time.
    var usableCores: Int {
        guard let limit = cgroup.processors else { return physicalCores }
        return max(1, min(physicalCores, Int(limit.rounded(.up))))
    }

    /// Bytes of the largest cache that the first processor sees, shared or not; nil where the system does not say.
    static var largestCacheBytes: Int? {
        (0..<8).compactMap { index -> Int? in
            guard
                let text = FileTree.text(of: "/sys/devices/system/cpu/cpu0/cache/index\(index)/size")?.trimmed
            else { return nil }
            return ByteCount(argument: text.hasSuffix("K") ? text.dropLast() + "KiB" : text)?.bytes
        }.max()
    }

    /// Bytes that this process can still take.
    var availableBytes: Int {
        guard let limit = cgroup.memoryBytes else { return freeBytes }
        return max(0, min(freeBytes, limit - (cgroup.memoryUsedBytes ?? 0)))
    }

    /// The processors of this process's affinity: `Cpus_allowed_list: 0-3,8`.
    private static func allowedProcessors() -> [Int]? {
        let prefix = "Cpus_allowed_list:"
        let lines = (FileTree.text(of: "/proc/self/status") ?? "").split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix(prefix) }) else { return nil }
        let ranges = String(line.dropFirst(prefix.count)).trimmed.split(separator: ",").map { part in
            part.split(separator: "-").compactMap { Int($0) }
        }
        guard ranges.allSatisfy({ $0.count == 1 || $0.count == 2 && $0[0] <= $0[1] }) else { return nil }
        return ranges.flatMap { Array($0[0]...($0.last ?? $0[0])) }
    }

    /// A line of `/proc/meminfo` or `/proc/self/status`, in bytes.
    private static func field(_ name: String, in text: String) -> Int? {
        text.split(separator: "\n").first { $0.hasPrefix(name) }
            .flatMap { line in line.split(separator: " ").dropFirst().first.flatMap { Int($0) } }
            .map { $0 * 1024 }
    }
}

/// The limits of the cgroup this process is in, version 2 or 1; the tightest from the process up to the root.
struct ControlGroup: Sendable, Equatable {
    /// 2, 1, or nil without cgroups.
    let version: Int?
    /// Processors' worth of time, nil without a limit.
    let processors: Double?
    let memoryBytes: Int?
    let memoryUsedBytes: Int?

    static var current: ControlGroup {
        let mount = "/sys/fs/cgroup"
        let lines = (FileTree.text(of: "/proc/self/cgroup") ?? "").split(separator: "\n").map {
            $0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        }.filter { $0.count == 3 }
        if FileTree.isFile("\(mount)/cgroup.controllers") {
            let folders = chain(mount, lines.first { $0[1].isEmpty }?[2] ?? "/")
            let processors = folders.compactMap { folder -> Double? in
                let parts = (FileTree.text(of: "\(folder)/cpu.max") ?? "").trimmed.split(separator: " ")
                guard parts.count == 2, let quota = Double(parts[0]), let period = Double(parts[1]) else {
                    return nil
                }
                return quota / period
            }
            return ControlGroup(
                version: 2, processors: processors.min(),
                memoryBytes: folders.compactMap { number("\($0)/memory.max") }.min(),
                memoryUsedBytes: folders.first.flatMap { number("\($0)/memory.current") })
        }
        func folders(_ controller: String) -> [String] {
            let path = lines.first { $0[1].split(separator: ",").contains(Substring(controller)) }?[2] ?? "/"
            return chain("\(mount)/\(controller)", path)
        }
        guard FileTree.isDirectory("\(mount)/memory") || FileTree.isDirectory("\(mount)/cpu") else {
            return ControlGroup(version: nil, processors: nil, memoryBytes: nil, memoryUsedBytes: nil)
        }
        let processors = folders("cpu").compactMap { folder -> Double? in
            guard let quota = number("\(folder)/cpu.cfs_quota_us"), quota > 0,
                let period = number("\(folder)/cpu.cfs_period_us"), period > 0
            else { return nil }
            return Double(quota) / Double(period)
        }
        // Version 1 writes "no limit" as a number near 2^63.
        let memory = folders("memory").compactMap { number("\($0)/memory.limit_in_bytes") }.filter {
            $0 < 1 << 60
        }
        return ControlGroup(
            version: 1, processors: processors.min(), memoryBytes: memory.min(),
            memoryUsedBytes: folders("memory").first.flatMap { number("\($0)/memory.usage_in_bytes") })
    }

    /// The folders from the process's own up to the mount point; in a container only the mount point is there.
    private static func chain(_ mount: String, _ path: String) -> [String] {
        var folders: [String] = []
        var parts = path.split(separator: "/").map(String.init)
        while !parts.isEmpty {
            let folder = mount + "/" + parts.joined(separator: "/")
            if FileTree.isDirectory(folder) { folders.append(folder) }
            parts.removeLast()
        }
        return folders + [mount]
    }

    private static func number(_ path: String) -> Int? { FileTree.text(of: path).flatMap { Int($0.trimmed) } }
}

extension Machine {
    /// The most memory this process has held, in bytes.
    ///
    /// `getrusage` is the second choice: a program that a larger one started inherits that one's peak in it.
    static var peakMemoryBytes: Int {
        if let peak = field("VmHWM:", in: FileTree.text(of: "/proc/self/status") ?? "") { return peak }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}

extension Machine {
    /// Today in UTC, as 2026-01-31.
    static var date: String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }
}
