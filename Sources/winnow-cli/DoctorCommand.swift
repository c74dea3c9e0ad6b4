import ArgumentParser
import Glibc
import WinnowCore
import WinnowJSON
import WinnowReport

/// `winnow doctor`: what this machine offers, and what is missing.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Show what this machine offers Winnow, and what is missing.",
        discussion: "Example: winnow doctor --json")

    @OptionGroup var cache: CacheOptions
    @OptionGroup var output: OutputOptions

    private struct Tool {
        let name: String
        let purpose: String
        let path: String?
    }

    func run() async throws {
        let machine = Machine.current
        let folder = try ModelCache(cache)
        let tools = [
            tool("curl", "fetches from hubs"), tool("python3", "fetches and unpacks packages"),
            tool("sha256sum", "checks what was fetched"),
        ]
        let hasPip = try await hasPip(tools[1])
        let bandwidth = try DoctorCommand.bandwidth(machine)
        var missing = tools.filter { $0.path == nil }.map { "\($0.name) (\($0.purpose)): install it" }
        if tools[1].path != nil, !hasPip {
            missing.append("pip for python3 (fetches packages): install python3-pip")
        }
        if let place = folder.writableProblem { missing.append(place) }
        if let isa = EnvironmentVariable.text("WINNOW_ISA"), InstructionSet.current.rawValue != isa {
            missing.append(
                "the instruction set WINNOW_ISA asks for (\(isa)): using \(InstructionSet.current.rawValue)")
        }
        if output.json {
            StandardOutput.write(json(machine, folder, tools, hasPip, bandwidth, missing))
        } else {
            StandardOutput.write(text(machine, folder, tools, hasPip, bandwidth, missing))
        }
    }

    private func text(
        _ machine: Machine, _ folder: ModelCache, _ tools: [Tool], _ hasPip: Bool,
        _ bandwidth: [(threads: Int, bytesPerSecond: Double)], _ missing: [String]
    ) -> String {
        let sets = InstructionSet.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
        var table = Table([.init("what"), .init("here")])
        table.add(["version", WinnowVersion.current])
        table.add(["processor", machine.cpuModel ?? "unknown"])
        table.add(["instruction set", "\(InstructionSet.current.rawValue) (of \(sets))"])
        table.add([
            "cores",
            "\(machine.physicalCores) physical, \(machine.allowedThreads) of \(machine.logicalCores) hardware "
                + "threads allowed; \(machine.usableCores) by default",
        ])
        table.add([
            "memory", "\(Format.bytes(machine.availableBytes)) free of \(Format.bytes(machine.memoryBytes))",
        ])
        table.add([
            machine.cgroup.version.map { "cgroup v\($0)" } ?? "cgroup",
            (machine.cgroup.processors.map { "\(Format.significant($0)) processors" } ?? "no processor limit")
                + ", "
                + (machine.cgroup.memoryBytes.map(Format.bytes) ?? "no memory limit"),
        ])
        for sample in bandwidth {
            let threads = sample.threads == 1 ? "1 thread" : "\(sample.threads) threads"
            table.add(["memory read, \(threads)", Format.bandwidth(sample.bytesPerSecond)])
        }
        table.add(["cache", "\(folder.root), \(Format.bytes(folder.freeBytes)) free on its disk"])
        for tool in tools { table.add([tool.name, tool.path ?? "missing"]) }
        table.add(["pip", hasPip ? "yes" : "missing"])
        let verdict =
            missing.isEmpty ? "Nothing is missing." : missing.map { "Missing: \($0)" }.joined(separator: "\n")
        return table.text + "\n" + verdict + "\n"
    }

    private func json(
        _ machine: Machine, _ folder: ModelCache, _ tools: [Tool], _ hasPip: Bool,
        _ bandwidth: [(threads: Int, bytesPerSecond: Double)], _ missing: [String]
    ) -> JSONValue {
        func integer(_ value: Int?) -> JSONValue { value.map { .integer(Int64($0)) } ?? .null }
        func string(_ value: String?) -> JSONValue { value.map(JSONValue.string) ?? .null }
        return [
            "version": .string(WinnowVersion.current),
            "cpu": string(machine.cpuModel),
            "isa": .string(InstructionSet.current.rawValue),
            "isaAvailable": .array(
                InstructionSet.allCases.filter(\.isAvailable).map { .string($0.rawValue) }),
            "logicalCores": integer(machine.logicalCores), "allowedThreads": integer(machine.allowedThreads),
            "physicalCores": integer(machine.physicalCores), "defaultThreads": integer(machine.usableCores),
            "memoryBytes": integer(machine.memoryBytes), "availableBytes": integer(machine.availableBytes),
            "cgroup": [
                "version": integer(machine.cgroup.version),
                "processors": machine.cgroup.processors.map(JSONValue.number) ?? .null,
                "memoryBytes": integer(machine.cgroup.memoryBytes),
            ],
            "bandwidth": .array(
                bandwidth.map {
                    ["threads": integer($0.threads), "bytesPerSecond": .number($0.bytesPerSecond.rounded())]
                }),
            "cache": .string(folder.root), "cacheFreeBytes": integer(folder.freeBytes),
            "tools": .object(JSONObject(tools.map { ($0.name, string($0.path)) } + [("pip", .bool(hasPip))])),
            "missing": .array(missing.map(JSONValue.string)),
        ]
    }

    /// Bytes read per second by one thread and by all, each the median of passes over some 0.3 seconds.
    private static func bandwidth(_ machine: Machine) throws -> [(threads: Int, bytesPerSecond: Double)] {
        // Larger than any cache, small beside what is free.
        let bytes = min(256 << 20, max(machine.availableBytes / 8, 16 << 20))
        let memory = MemoryBandwidth(bytes: bytes)
        let clock = ContinuousClock()
        var result: [(threads: Int, bytesPerSecond: Double)] = []
        for threads in machine.usableCores > 1 ? [1, machine.usableCores] : [1] {
            let pool = try KernelPool(threads: threads)
            _ = memory.sample(on: pool)
            var samples: [Double] = []
            let start = clock.now
            while clock.now - start < .milliseconds(300) || samples.count < 3 {
                samples.append(memory.sample(on: pool))
            }
            result.append((threads, samples.sorted()[samples.count / 2]))
        }
        return result
    }

    private func tool(_ name: String, _ purpose: String) -> Tool {
        let folders = (EnvironmentVariable.text("PATH") ?? "/usr/bin:/bin").split(separator: ":")
        let path = folders.map { "\($0)/\(name)" }.first { FileTree.isFile($0) && access($0, X_OK) == 0 }
        return Tool(name: name, purpose: purpose, path: path)
    }

    private func hasPip(_ python: Tool) async throws -> Bool {
        guard python.path != nil else { return false }
        return try await ChildProcess.run("python3", ["-c", "import pip"]).status == 0
    }
}

extension ModelCache {
    /// Free bytes on the disk that holds the cache.
    var freeBytes: Int {
        var status = statvfs()
        return statvfs(nearestFolder, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : 0
    }

    /// Why nothing can be written here, or nil.
    var writableProblem: String? {
        access(nearestFolder, W_OK) == 0
            ? nil : "a cache folder that can be written (\(root)): give --cache DIR or set WINNOW_CACHE"
    }

    /// The cache folder, or the parent that it would be made in.
    private var nearestFolder: String {
        var folder = root
        while !FileTree.isDirectory(folder), folder != "/", folder != "." {
            folder = FileTree.parent(of: folder)
        }
        return folder
    }
}
