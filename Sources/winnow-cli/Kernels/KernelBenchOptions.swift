import ArgumentParser
import WinnowCore
import WinnowReport
import WinnowWeights

/// What `bench --kernels` measures.
struct KernelBenchOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Weight formats (default: \(KernelBenchOptions.standardFormats.joined(separator: ", "))).",
            valueName: "f1,f2…"))
    var formats: String?
    @Option(
        help: ArgumentHelp(
            "Shapes, outputs x inputs (default: \(KernelBenchOptions.standardShapes)).", valueName: "RxC,…"))
    var shapes: String?
    @Option(help: ArgumentHelp("Rows of the input: 1 decodes, 512 is a prefill.", valueName: "n1,n2…"))
    var rows: String?
    @Option(help: ArgumentHelp("Counted repetitions (default: 3).", valueName: "n"))
    var repetitions: Int?
    @Option(
        help: ArgumentHelp(
            "Bytes that the copies of a matrix take (default: twice the largest cache).", valueName: "size"))
    var workingSet: ByteCount?
    @OptionGroup var page: PageOptions

    static let standardFormats = [
        "f32", "f16", "bf16", "q8_0", "int8", "q4_0", "q4_1", "int4", "masked-f16", "masked-int8",
        "masked-q8_0",
        "masked-int4", "masked-q4_0", "masked-q4_1",
    ]
    static let standardShapes = "2048x2048,2048x8192"

    /// Wrong without `--kernels`.
    func requireKernels() throws {
        let given = [
            ("formats", formats != nil), ("shapes", shapes != nil), ("rows", rows != nil),
            ("repetitions", repetitions != nil), ("working-set", workingSet != nil),
            ("page", page.page != nil),
        ]
        if let (name, _) = given.first(where: \.1) { throw ValidationError("--\(name) is for --kernels") }
    }

    private static func list<Value>(
        _ text: String, _ name: String, _ expected: String, _ value: (Substring) -> Value?
    ) throws -> [Value] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        return try parts.map {
            guard let value = value($0) else {
                throw ValidationError("--\(name) takes \(expected) with commas, not '\($0)'")
            }
            return value
        }
    }

    /// Twice the largest cache, so that nothing is found there again; at least 64 MiB, and a small part of what is free.
    static var standardWorkingSet: Int {
        max(64 << 20, min(2 * (Machine.largestCacheBytes ?? 64 << 20), Machine.current.availableBytes / 8))
    }

    func benchmark(_ running: RunOptions, sparsity: Double) throws -> KernelBenchmark {
        let known = WeightFormats.all.filter(\.canEncode)
        let formats = try KernelBenchOptions.list(
            formats ?? KernelBenchOptions.standardFormats.joined(separator: ","), "formats",
            "some of \(known.map(\.name).joined(separator: ", "))"
        ) { name in known.first { $0.name == name.lowercased() } }
        let shapes = try KernelBenchOptions.list(
            shapes ?? KernelBenchOptions.standardShapes, "shapes", "outputs x inputs, such as 4096x2048,"
        ) { KernelBenchmark.Shape($0) }
        for shape in shapes {
            for format in formats where !KernelBenchmark.fits(format, shape) {
                throw ValidationError(
                    "\(format.name) needs inputs in multiples of \(format.blockWidth), which \(shape) has not"
                )
            }
        }
        guard (0..<1).contains(sparsity) else { throw ValidationError("--sparsity is between 0 and 1") }
        var benchmark = KernelBenchmark(
            formats: formats, shapes: shapes,
            instructionSets: running.isa.map { [$0] } ?? InstructionSet.allCases.filter(\.isAvailable),
            workingSet: workingSet?.bytes ?? KernelBenchOptions.standardWorkingSet)
        benchmark.tokens = try KernelBenchOptions.list(rows ?? "1,512", "rows", "numbers between 1 and 8192")
        {
            Int($0).flatMap { (1...8192).contains($0) ? $0 : nil }
        }
        benchmark.repetitions = repetitions ?? 3
        guard benchmark.repetitions > 0 else { throw ValidationError("--repetitions is at least 1") }
        benchmark.sparsity = sparsity
        benchmark.activations = running.activations
        benchmark.seed = running.seed
        return benchmark
    }

    func run(_ running: RunOptions, sparsity: Double, _ output: OutputOptions) throws {
        try page.check()
        let benchmark = try benchmark(running, sparsity: sparsity)
        try running.admit(benchmark.memoryPlan, output)
        let pool = try KernelPool(threads: running.threadCount)
        let progress = ProgressPrinter(output)
        let result = try benchmark.run(on: pool) { progress.update("measuring", $0, of: $1, "matrices") }
        let report = KernelReport(benchmark: benchmark, result: result, threads: running.threadCount)
        try page.write(report.page, output)
        if output.json { return StandardOutput.write(report.json) }
        StandardOutput.write(report.text)
    }
}
