import Testing
import WinnowCore
import WinnowIO

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct AtomicOutputTests {
    struct Stop: Error {}

    static func convert(to path: String, _ target: ModelConversion.Target = .hf, overwrite: Bool = false) throws {
        try ModelConversion(to: target).write(
            Checkpoint.open(Fixture.path("tied-q4_1.gguf")), to: path, overwrite: overwrite,
            on: KernelPool(threads: 1))
    }

    @Test func existingOutputsAreKept() throws {
        try Fixture.withFolder { folder in
            let path = "\(folder)/model"
            try AtomicOutputTests.convert(to: path)
            #expect(throws: CheckpointError.outputExists(path: path)) { try AtomicOutputTests.convert(to: path) }
            try Fixture.write([1], to: "\(path)/left-over")
            try AtomicOutputTests.convert(to: path, overwrite: true)
            #expect(!Fixture.names(in: path).contains("left-over"))
            #expect(Fixture.names(in: folder) == ["model"])
        }
    }

    @Test func foldersThatAreNoModelsAreLeftAlone() throws {
        try Fixture.withFolder { folder in
            mkdir("\(folder)/letters", 0o755)
            try Fixture.write([1], to: "\(folder)/letters/a.txt")
            #expect(throws: CheckpointError.notReplaceable(path: "\(folder)/letters")) {
                try AtomicOutputTests.convert(to: "\(folder)/letters", overwrite: true)
            }
            #expect(
                throws: CheckpointError.badOutput(
                    path: "\(folder)/letters", reason: "it is not a file; choose another name")
            ) { try AtomicOutputTests.convert(to: "\(folder)/letters", .gguf, overwrite: true) }
            #expect(
                throws: CheckpointError.badOutput(
                    path: "\(folder)/no/model", reason: "there is no folder \(folder)/no; make it first")
            ) { try AtomicOutputTests.convert(to: "\(folder)/no/model") }
            #expect(Fixture.names(in: "\(folder)/letters") == ["a.txt"])
        }
    }

    /// A writer that fails in the middle leaves nothing, and not even touches what it would have replaced.
    @Test(arguments: [ModelConversion.Target.hf, .gguf])
    func failuresLeaveNothing(_ target: ModelConversion.Target) throws {
        try Fixture.withFolder { folder in
            let path = "\(folder)/model"
            let source = try Checkpoint.open(Fixture.path("tied-q4_1.gguf"))
            try AtomicOutputTests.convert(to: path, target)
            let before = Fixture.names(in: target == .hf ? path : folder)
            func tensor(_ name: String) throws -> CheckpointTensor {
                #expect(Fixture.names(in: folder).count == 2)
                if name.contains("layers.1.") { throw Stop() }
                return try source.tensor(name)
            }
            #expect(throws: Stop.self) {
                if target == .hf {
                    try CheckpointWriter(path, overwrite: true).write(source, tensor: tensor)
                } else {
                    try GGUFWriter(path, overwrite: true).write(source, tensor: tensor)
                }
            }
            #expect(Fixture.names(in: target == .hf ? path : folder) == before)
            #expect(Fixture.names(in: folder) == ["model"])
            _ = try Checkpoint.open(path)
        }
    }

    /// What another process left behind is removed by the next that writes the name; a living one's is not.
    @Test func leftOversOfDeadProcesses() throws {
        try Fixture.withFolder { folder in
            // No process has this number: it is past every system's largest.
            mkdir("\(folder)/.model.partial-99999999", 0o755)
            try Fixture.write([1], to: "\(folder)/.model.partial-99999999/shard-1")
            mkdir("\(folder)/.model.partial-1", 0o755)
            let written = try CheckpointWriter("\(folder)/model").write(
                Checkpoint.open(Fixture.path("tied-q4_1.gguf")))
            #expect(written.removedStale == ["\(folder)/.model.partial-99999999"])
            #expect(Fixture.names(in: folder) == [".model.partial-1", "model"])
        }
    }

    @Test func foldersThatCannotBeWritten() throws {
        guard getuid() != 0 else { return print("skipped: root may write everywhere") }
        try Fixture.withFolder { folder in
            chmod(folder, 0o500)
            #expect(throws: FileError.self) { try AtomicOutputTests.convert(to: "\(folder)/model") }
            #expect(throws: FileError.self) { try AtomicOutputTests.convert(to: "\(folder)/model.gguf", .gguf) }
        }
    }

    @Test func errorsSayWhatToDo() {
        #expect(
            FileError("a", operation: "write", code: ENOSPC).description
                == "cannot write a: No space left on device; free some space or write to another disk")
        #expect(
            FileError("a", operation: "create", code: EROFS).description
                == "cannot create a: Read-only file system; choose a place that can be written")
    }

    /// What is being written when a process must end is removed.
    @Test func discardAll() throws {
        try Fixture.withFolder { folder in
            let output = try AtomicOutput("\(folder)/model", .folder, overwrite: false)
            try Fixture.write([1], to: "\(output.partialPath)/shard-1")
            #expect(throws: CheckpointError.outputBusy(path: "\(folder)/model")) {
                try AtomicOutput("\(folder)/model", .folder, overwrite: false)
            }
            AtomicOutput.discardAll(under: folder)
            #expect(Fixture.names(in: folder) == [])
            output.discard()
        }
    }

    /// A writer that goes on while its files are removed does not give its name to what is left of them.
    @Test func whatWasDiscardedGetsNoName() throws {
        try Fixture.withFolder { folder in
            let output = try AtomicOutput("\(folder)/model", .folder, overwrite: false)
            AtomicOutput.discardAll(under: folder)
            mkdir(output.partialPath, 0o755)
            try Fixture.write([1], to: "\(output.partialPath)/shard-2")
            #expect(throws: CheckpointError.outputDiscarded(path: "\(folder)/model")) { try output.commit() }
            output.discard()
            #expect(Fixture.names(in: folder) == [])
        }
    }

    /// Without an exchange of names the old output is moved aside for a moment: a process killed then loses nothing.
    @Test func whatWasMovedAsideComesBack() throws {
        try Fixture.withFolder { folder in
            try AtomicOutputTests.convert(to: "\(folder)/model")
            rename("\(folder)/model", "\(folder)/.model.partial-99999999.old")
            mkdir("\(folder)/.model.partial-99999999", 0o755)
            #expect(throws: CheckpointError.outputExists(path: "\(folder)/model")) {
                try AtomicOutputTests.convert(to: "\(folder)/model")
            }
            _ = try Checkpoint.open("\(folder)/model")
            try AtomicOutputTests.convert(to: "\(folder)/model", overwrite: true)
            #expect(Fixture.names(in: folder) == ["model"])
        }
    }
}
