import ArgumentParser
import WinnowCore
import WinnowModels
import WinnowWeights

/// How a model runs.
struct RunOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Threads to compute with (default: physical cores).", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("Seed of everything random.", valueName: "seed"))
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp("Instruction set (default: the best one here, or WINNOW_ISA).", valueName: "isa"))
    var isa: InstructionSet?

    @Option(
        help: ArgumentHelp(
            "Inputs of products: exact float32, fast integers, int8 a token, or bfloat16 for many tokens where the CPU has it.",
            valueName: "mode"))
    var activations = ActivationMode.fast

    @Option(help: ArgumentHelp("Type of cached keys and values.", valueName: "type"))
    var kvType = KVType.f16

    @Option(help: ArgumentHelp("Refuse work whose predicted peak is larger, e.g. 8GiB.", valueName: "size"))
    var memoryLimit: ByteCount?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be between 1 and 1024, not \(threads)")
        }
        if let isa, !isa.isAvailable {
            throw ValidationError("this CPU has no \(isa.rawValue): leave --isa out")
        }
    }

    /// Threads to use: as asked, else the physical cores that affinity and cgroup leave.
    var threadCount: Int { threads ?? Machine.current.usableCores }

    /// The limit in bytes: as asked, else what the machine and its cgroup leave.
    var memoryBytes: Int { memoryLimit?.bytes ?? Machine.current.availableBytes }

    /// Switches kernels to the instruction set asked for; call it before a model is opened.
    func selectInstructionSet() {
        if let isa { _ = InstructionSet.select(isa) }
    }
}

extension InstructionSet: ExpressibleByArgument {}
extension ActivationMode: ExpressibleByArgument {}
extension KVType: ExpressibleByArgument {}
