import Testing
import WinnowCore
import WinnowIO
import WinnowTestKit

/// Models whose JSON files are well-formed and say something else: they open or throw a typed error.
@Suite(.serialized) struct TreeMutationTests {
    static let generation = """
        {"bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 2, "do_sample": true, "temperature": 0.6,
         "top_p": 0.9, "transformers_version": "4.42.3"}
        """

    @Test(arguments: [
        ("untied", "config.json", 200), ("untied", "tokenizer.json", 80),
        ("untied", "tokenizer_config.json", 80),
        ("untied", "generation_config.json", 80), ("tied", "model.safetensors.index.json", 60),
    ])
    func otherTrees(_ folder: String, _ file: String, _ count: Int) throws {
        try Fixture.withCopy(of: folder) { copy in
            try Fixture.write(Array(TreeMutationTests.generation.utf8), to: "\(copy)/generation_config.json")
            try TreeMutationTests.run(copy, file, count: count)
        }
    }

    /// The formats and shapes of packed matrices, and what the model says of itself.
    @Test func otherTreesOfPackedFolders() throws {
        try Fixture.withFolder { folder in
            let path = "\(folder)/model"
            try Fixture.writeMasked(to: path)
            try TreeMutationTests.run(path, "config.json", count: 150)
        }
    }

    @Test func otherSafetensorsHeaders() throws {
        let bytes = try Fixture.bytes(Fixture.path("untied/model.safetensors"))
        let length = bytes[..<8].enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
        var mutator = try JSONTreeMutator(Array(bytes[8..<8 + length]), seed: 22)
        let run = MutationRun(
            "header of model.safetensors", count: 300,
            damaged: {
                let header = mutator.next()
                let size = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
                return size + header + bytes[(8 + length)...]
            }, isExpected: MutationTests.isTyped
        ) { damaged in
            let file = try SafetensorsFile(parsing: Storage(copying: damaged), path: "model.safetensors")
            for name in file.names { _ = file[name]?.floats() }
        }
        MutationTests.expectGood(run)
    }

    private static func run(_ folder: String, _ file: String, count: Int) throws {
        let path = "\(folder)/\(file)"
        var mutator = try JSONTreeMutator(Fixture.bytes(path), seed: 21)
        let run = MutationRun(
            "tree of \(file)", count: count, damaged: { mutator.next() }, isExpected: MutationTests.isTyped
        ) { damaged in
            try Fixture.write(damaged, to: path)
            let checkpoint = try Checkpoint.open(folder)
            try MutationTests.exercise(checkpoint)
        }
        MutationTests.expectGood(run)
    }
}
