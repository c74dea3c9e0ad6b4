import Glibc
import Testing
import WinnowTestKit

/// Outputs that cannot be written: a typed error, nothing left behind, and what was there before untouched.
@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct BadOutputTests {
    /// A verb that writes an output.
    struct Writing: Sendable, CustomStringConvertible {
        let description: String
        let arguments: [String]
        let isFile: Bool

        func run(_ model: String = TinyModel.gguf, to output: String, _ more: String...) -> [String] {
            arguments + ["--model", model, "--output", output] + more
        }
    }

    static let all = [
        Writing(description: "convert to a folder", arguments: ["convert", "--to", "hf"], isFile: false),
        Writing(description: "convert to a file", arguments: ["convert", "--to", "gguf"], isFile: true),
        Writing(
            description: "prune",
            arguments: ["prune", "--method", "magnitude", "--sparsity", "0.5", "--quiet"],
            isFile: false),
    ]

    /// The names and bytes of all that is in a folder, hidden files too.
    private func everything(in folder: String) -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in entries(folder) {
            let path = "\(folder)/\(name)"
            result[name] = entries(path).isEmpty ? TinyModel.contents(path) : []
            for (inner, bytes) in everything(in: path) { result["\(name)/\(inner)"] = bytes }
        }
        return result
    }

    private func entries(_ folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// A disk that takes no more, as `ulimit -f` makes one: 16 blocks are at most 16 KiB of a file.
    @Test(arguments: all) func aFullDisk(_ writing: Writing) throws {
        try TemporaryFolder.with { folder in
            let output = "\(folder)/out"
            for _ in 0..<2 {
                let before = everything(in: folder)
                let ending = try CommandRun.run(
                    writing.run(to: output, "--overwrite"), limits: "ulimit -f 16")
                #expect(ending.status == 1 && ending.output.isEmpty)
                #expect(ending.errorLines.count == 1, "\(ending.errors)")
                #expect(
                    ending.errors.hasPrefix("error: cannot write \(folder)/.out.partial-")
                        && ending.errors.hasSuffix(
                            ": File too large; raise the limit on file sizes (ulimit -f) or write to another disk\n"
                        ),
                    "\(ending.errors)")
                #expect(everything(in: folder) == before)
                // And once more over an output that is there.
                #expect(try CommandRun.run(writing.run(to: output, "--overwrite")).status == 0)
            }
        }
    }

    /// Ctrl-C as soon as the partial output is seen: it is gone afterwards, and what was to be replaced is not.
    @Test(arguments: all) func controlCWhileWriting(_ writing: Writing) throws {
        try TemporaryFolder.with { folder in
            let output = "\(folder)/out"
            let model = "\(folder)/model"
            try WideModel.write(to: model)
            #expect(try CommandRun.run(writing.run(to: output)).status == 0)
            let before = everything(in: folder)
            for path in [output, "\(folder)/new"] {
                let run = try CommandRun(writing.run(model, to: path, "--overwrite"))
                let limit = ContinuousClock.now + .seconds(90)
                while !entries(folder).contains(where: { $0.contains(".partial-") }),
                    ContinuousClock.now < limit
                {
                    usleep(200)
                }
                run.signal(SIGINT)
                let ending = try run.ending(seconds: 30)
                #expect(ending.status == 130 && ending.output.isEmpty, "\(ending)")
                #expect(!ending.errors.contains("error:"), "\(ending.errors)")
                #expect(everything(in: folder) == before, "\(path)")
            }
        }
    }

    @Test(arguments: all) func foldersThatCannotBeWritten(_ writing: Writing) throws {
        // Not even root makes files here.
        let ending = try CommandRun.run(writing.run(to: "/proc/winnow-out"))
        #expect(ending.status == 1 && ending.errorLines.count == 1)
        #expect(ending.errors.hasPrefix("error: cannot create /proc/"), "\(ending.errors)")

        let missing = try CommandRun.run(writing.run(to: "/proc/no/winnow-out"))
        #expect(missing.status == 1)
        #expect(
            missing.errors
                == "error: cannot write /proc/no/winnow-out: there is no folder /proc/no; make it first\n")

        guard getuid() != 0 else { return }
        try TemporaryFolder.with { folder in
            chmod(folder, 0o500)
            let ending = try CommandRun.run(writing.run(to: "\(folder)/out"))
            #expect(ending.status == 1 && ending.errorLines.count == 1)
            #expect(ending.errors.hasSuffix("Permission denied; check who may use it\n"), "\(ending.errors)")
            #expect(entries(folder).isEmpty)
        }
    }

    @Test(arguments: all) func filesForFoldersAndFoldersForFiles(_ writing: Writing) throws {
        try TemporaryFolder.with { folder in
            let output = "\(folder)/out"
            if writing.isFile {
                #expect(try CommandRun.run(BadOutputTests.all[0].run(to: output)).status == 0)
            } else {
                try TemporaryFolder.write(Array("letters".utf8), to: output)
            }
            let before = everything(in: folder)
            let kept = try CommandRun.run(writing.run(to: output))
            #expect(kept.status == 1)
            #expect(kept.errors == "error: \(output) exists; choose another name or pass --overwrite\n")
            let replaced = try CommandRun.run(writing.run(to: output, "--overwrite"))
            #expect(replaced.status == 1)
            #expect(
                replaced.errors == "error: cannot write \(output): it is not a "
                    + "\(writing.isFile ? "file" : "folder"); choose another name\n")
            #expect(everything(in: folder) == before)
            let below = try CommandRun.run(
                writing.run(to: writing.isFile ? "\(output)/config.json/x" : "\(output)/x"))
            #expect(below.status == 1 && below.errors.hasSuffix("make it first\n"), "\(below.errors)")
        }
    }
}
