import Testing
import WinnowCore
import WinnowIO
import WinnowTestKit
import WinnowText

/// Damaged models open or throw a typed error: no trap, no hang, no wild allocation.
@Suite(.serialized) struct MutationTests {
    static func isTyped(_ error: any Error) -> Bool {
        error is CheckpointError || error is GGUFError || error is SafetensorsError || error is FileError
            || error is TokenizerError || error is TemplateError
    }

    static func expectGood(_ run: MutationRun) {
        #expect(run.strangers.isEmpty, "\(run.name): \(run.strangers.prefix(3))")
        #expect(run.opened < run.inputs, "\(run.name): no damage was seen")
        #expect(run.longestSeconds < 5, "\(run.name)")
        #expect(run.grownBytes < 512 << 20, "\(run.name)")
    }

    /// Uses all that an opened model has.
    static func exercise(_ checkpoint: Checkpoint) throws {
        for name in checkpoint.names { _ = try checkpoint.tensor(name) }
        let tokenizer = try Tokenizer(checkpoint.tokenizer)
        let ids = tokenizer.encode("The wheat: 42 🌾é<|im_end|>\n", addBOS: true)
        _ = tokenizer.decode(ids + [-1, .max])
        if let source = checkpoint.tokenizer.chatTemplate {
            _ = try ChatTemplate(source: source).render(messages: [ChatMessage(role: "user", content: "wheat")])
        }
    }

    @Test(arguments: ["tied-q8_0.gguf", "tied-q4_0.gguf", "tied-q4_1.gguf", "untied-f16.gguf"])
    func damagedGGUFFiles(_ name: String) throws {
        let bytes = try Fixture.bytes(Fixture.path(name))
        let run = MutationRun(
            name, bytes, seed: 11, count: 400, window: 16_000, isExpected: MutationTests.isTyped
        ) { copy in
            try MutationTests.exercise(Checkpoint(gguf: Storage(copying: copy), path: name))
        }
        MutationTests.expectGood(run)
    }

    @Test func damagedSafetensorsFiles() throws {
        let bytes = try Fixture.bytes(Fixture.path("untied/model.safetensors"))
        let run = MutationRun(
            "model.safetensors", bytes, seed: 12, count: 2000, window: 2600, isExpected: MutationTests.isTyped
        ) { copy in
            let file = try SafetensorsFile(parsing: Storage(copying: copy), path: "model.safetensors")
            for name in file.names { _ = file[name]?.floats() }
        }
        MutationTests.expectGood(run)
    }

    @Test(arguments: [
        ("untied", "config.json", 400), ("untied", "model.safetensors", 200), ("untied", "tokenizer.json", 400),
        ("untied", "tokenizer_config.json", 200), ("untied", "chat_template.jinja", 400),
        ("tied", "model.safetensors.index.json", 300), ("tied", "config.json", 200),
        ("tied", "tokenizer_config.json", 200),
    ])
    func damagedFolders(_ folder: String, _ file: String, _ count: Int) throws {
        try Fixture.withCopy(of: folder) { copy in
            let path = "\(copy)/\(file)"
            let bytes = try Fixture.bytes(path)
            let run = MutationRun(
                "\(folder)/\(file)", bytes, seed: 13, count: count, window: 8000,
                isExpected: MutationTests.isTyped
            ) { damaged in
                try Fixture.write(damaged, to: path)
                try MutationTests.exercise(Checkpoint.open(copy))
            }
            MutationTests.expectGood(run)
        }
    }

    /// A packed folder's arrays: masks, offsets, scales, values that do not belong together.
    @Test func damagedPackedFolders() throws {
        try Fixture.withFolder { folder in
            let path = "\(folder)/model"
            try Fixture.writeMasked(to: path)
            for (file, count, window) in [("model.safetensors", 300, 4000), ("config.json", 300, .max)] {
                let bytes = try Fixture.bytes("\(path)/\(file)")
                let run = MutationRun(
                    "packed/\(file)", bytes, seed: 14, count: count, window: window,
                    isExpected: MutationTests.isTyped
                ) { damaged in
                    try Fixture.write(damaged, to: "\(path)/\(file)")
                    try MutationTests.exercise(Checkpoint.open(path))
                }
                MutationTests.expectGood(run)
                try Fixture.write(bytes, to: "\(path)/\(file)")
            }
        }
    }
}
