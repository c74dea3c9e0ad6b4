import Testing
import WinnowCore
import WinnowIO
import WinnowTestKit

/// Models in several GGUF files, cut by Tools/split-gguf.py from tied-q4_0.gguf.
@Suite(.serialized) struct SplitGGUFTests {
    static func name(_ part: Int) -> String { "split-0000\(part)-of-00003.gguf" }

    /// Calls `body` with a folder that has copies of the parts.
    static func withParts(_ body: (String) throws -> Void) throws {
        try Fixture.withFolder { folder in
            for part in 1...3 {
                try Fixture.write(Fixture.bytes(Fixture.path(name(part))), to: "\(folder)/\(name(part))")
            }
            try body(folder)
        }
    }

    static func error(_ path: String) throws -> GGUFError? {
        do { _ = try Checkpoint.open(path) } catch let error as GGUFError { return error }
        return nil
    }

    @Test(arguments: 1...3) func anyPartOpensTheWhole(_ part: Int) throws {
        let whole = try Checkpoint.open(Fixture.path("tied-q4_0.gguf"))
        let split = try Checkpoint.open(Fixture.path(SplitGGUFTests.name(part)))
        #expect(split.configuration == whole.configuration)
        #expect(split.names == whole.names)
        #expect(split.tokenizer.tokens == whole.tokenizer.tokens)
        let bytes = try (1...3).reduce(0) {
            try $0 + Fixture.bytes(Fixture.path(SplitGGUFTests.name($1))).count
        }
        #expect(split.fileBytes == bytes)
        for name in whole.names {
            switch (try split.tensor(name), try whole.tensor(name)) {
            case (.matrix(let a), .matrix(let b)):
                #expect(a.format == b.format && a.parts.values.bytes.elementsEqual(b.parts.values.bytes))
            case (.vector(let a), .vector(let b)): #expect(a.bytes.bytes.elementsEqual(b.bytes.bytes))
            default: Issue.record("\(name) is of another kind")
            }
        }
    }

    @Test func aPartIsMissing() throws {
        try SplitGGUFTests.withParts { folder in
            Fixture.removeFile("\(folder)/\(SplitGGUFTests.name(2))")
            let path = "\(folder)/\(SplitGGUFTests.name(3))"
            let error = try SplitGGUFTests.error(path)
            #expect(error == .missingParts(file: path, parts: [SplitGGUFTests.name(2)]))
            #expect(
                error?.description
                    == "\(path): \(SplitGGUFTests.name(2)) is missing beside it; is the download complete?")
        }
    }

    @Test func aPartOfAnotherModelOrTwice() throws {
        try SplitGGUFTests.withParts { folder in
            let path = "\(folder)/\(SplitGGUFTests.name(1))", other = "\(folder)/\(SplitGGUFTests.name(2))"
            // The third part under the second one's name.
            try Fixture.write(Fixture.bytes("\(folder)/\(SplitGGUFTests.name(3))"), to: other)
            #expect(
                try SplitGGUFTests.error(path)
                    == .foreignPart(file: other, key: "split.no", found: "2", expected: "1"))
            // A file that was never cut.
            try Fixture.write(Fixture.bytes(Fixture.path("tied-q8_0.gguf")), to: other)
            #expect(
                try SplitGGUFTests.error(path)
                    == .foreignPart(file: other, key: "split.count", found: "missing", expected: "3"))
        }
    }

    /// A part under a name that says nothing of parts, or more than there are.
    @Test func aPartWithAnotherName() throws {
        try SplitGGUFTests.withParts { folder in
            for name in ["model.gguf", "split-00004-of-00003.gguf"] {
                let path = "\(folder)/\(name)"
                try Fixture.write(Fixture.bytes("\(folder)/\(SplitGGUFTests.name(3))"), to: path)
                #expect(
                    try SplitGGUFTests.error(path)
                        == .wrongPartName(file: path, part: 3, of: 3, ending: "-00003-of-00003.gguf"))
            }
        }
    }

    /// Tensors that come twice, are too many, or claims that cannot be.
    @Test func partsThatDoNotBelongTogether() throws {
        func part(_ index: Int, of count: Int, tensors: [String], claimed: Int32, folder: String) throws
            -> String
        {
            var builder = GGUFBuilder(tensors: UInt64(tensors.count), keys: 3)
            builder.key("split.no", type: 2)
            builder.number(UInt16(index))
            builder.key("split.count", type: 2)
            builder.number(UInt16(count))
            builder.key("split.tensors.count", type: 5)
            builder.number(claimed)
            for (place, name) in tensors.enumerated() {
                builder.tensor(name, [8], type: 0, offset: UInt64(32 * place))
            }
            builder.data(32 * tensors.count)
            let path = "\(folder)/m-0000\(index + 1)-of-0000\(count).gguf"
            try Fixture.write(builder.bytes, to: path)
            return path
        }
        try Fixture.withFolder { folder in
            let first = try part(0, of: 2, tensors: ["a", "b"], claimed: 3, folder: folder)
            let second = try part(1, of: 2, tensors: ["b"], claimed: 3, folder: folder)
            #expect(try SplitGGUFTests.error(first) == .duplicateTensor(file: second, tensor: "b"))
            _ = try part(1, of: 2, tensors: ["c", "d"], claimed: 3, folder: folder)
            #expect(
                try SplitGGUFTests.error(first) == .wrongTensorCount(file: first, tensors: 4, expected: 3))
            _ = try part(1, of: 2, tensors: ["c"], claimed: 9, folder: folder)
            #expect(
                try SplitGGUFTests.error(first)
                    == .foreignPart(file: second, key: "split.tensors.count", found: "9", expected: "3"))
            let last = try part(7, of: 8, tensors: [], claimed: -1, folder: folder)
            #expect(
                try SplitGGUFTests.error(last)
                    == .wrongValue(
                        file: last, key: "split.tensors.count", found: "-1",
                        expected: "a whole number from 0 to 2147483648"))
        }
    }

    @Test(arguments: 1...3) func damagedParts(_ part: Int) throws {
        try SplitGGUFTests.withParts { folder in
            let path = "\(folder)/\(SplitGGUFTests.name(part))"
            let run = MutationRun(
                SplitGGUFTests.name(part), try Fixture.bytes(path), seed: 31, count: 100, window: 2000,
                isExpected: MutationTests.isTyped
            ) { damaged in
                try Fixture.write(damaged, to: path)
                try MutationTests.exercise(Checkpoint.open("\(folder)/\(SplitGGUFTests.name(1))"))
            }
            MutationTests.expectGood(run)
        }
    }
}
