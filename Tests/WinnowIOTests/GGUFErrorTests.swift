import Testing
import WinnowCore
import WinnowIO
import WinnowText

/// Headers that lie, by the error they get.
@Suite struct GGUFErrorTests {
    static func read(_ builder: GGUFBuilder) throws {
        _ = try GGUFFile(parsing: Storage(copying: builder.bytes), path: "m.gguf")
    }

    static func expect(_ error: GGUFError, _ message: String, _ builder: GGUFBuilder) {
        #expect(throws: error) { try read(builder) }
        #expect(error.description == message)
    }

    @Test func otherFiles() {
        #expect(throws: GGUFError.notGGUF(file: "m.gguf")) {
            try GGUFFile(parsing: Storage(copying: Array("GGU".utf8)), path: "m.gguf")
        }
        GGUFErrorTests.expect(
            .unsupportedVersion(file: "m.gguf", version: 1),
            "m.gguf: GGUF version 1 is not supported; versions 2 and 3 are: convert the model again",
            GGUFBuilder(version: 1))
        GGUFErrorTests.expect(
            .bigEndian(file: "m.gguf"),
            "m.gguf: a big-endian GGUF file; convert it with gguf_convert_endian.py from the gguf package",
            GGUFBuilder(version: 0x0300_0000))
    }

    @Test(arguments: [1 << 40, 1 << 63, UInt64.max])
    func countsThatNoFileHolds(_ count: UInt64) {
        GGUFErrorTests.expect(
            .impossibleCount(file: "m.gguf", of: "tensors", count: count),
            "m.gguf: claims \(count) tensors, more than the file has room for; is it damaged?",
            GGUFBuilder(tensors: count))
        GGUFErrorTests.expect(
            .impossibleCount(file: "m.gguf", of: "metadata values", count: count),
            "m.gguf: claims \(count) metadata values, more than the file has room for; is it damaged?",
            GGUFBuilder(keys: count))
        var array = GGUFBuilder(keys: 1)
        array.key("tokenizer.ggml.tokens", type: 9)
        array.number(UInt32(8))
        array.number(count)
        GGUFErrorTests.expect(
            .impossibleCount(file: "m.gguf", of: "elements in metadata 'tokenizer.ggml.tokens'", count: count),
            "m.gguf: claims \(count) elements in metadata 'tokenizer.ggml.tokens', more than the file has room for; "
                + "is it damaged?", array)
        var text = GGUFBuilder(keys: 1)
        text.number(count)
        text.data(64)
        GGUFErrorTests.expect(
            .truncated(file: "m.gguf", reading: "a metadata key", offset: text.bytes.count),
            "m.gguf: ends at byte \(text.bytes.count) in a metadata key; is the download complete?", text)
    }

    @Test func metadata() {
        var unknown = GGUFBuilder(keys: 1)
        unknown.key("a", type: 99)
        GGUFErrorTests.expect(
            .unknownValueType(file: "m.gguf", key: "a", type: 99),
            "m.gguf: metadata 'a' has the unknown type 99; is the file damaged?", unknown)
        var twice = GGUFBuilder(keys: 2)
        for _ in 0..<2 {
            twice.key("general.alignment", type: 4)
            twice.number(UInt32(32))
        }
        GGUFErrorTests.expect(
            .duplicateKey(file: "m.gguf", key: "general.alignment"),
            "m.gguf: metadata 'general.alignment' comes twice", twice)
        var alignment = GGUFBuilder(keys: 1)
        alignment.key("general.alignment", type: 4)
        alignment.number(UInt32(24))
        GGUFErrorTests.expect(
            .badAlignment(file: "m.gguf", alignment: 24),
            "m.gguf: general.alignment is 24; expected a power of two from 8 to 65536", alignment)
        var nested = GGUFBuilder(keys: 1)
        nested.key("a", type: 9)
        for _ in 0..<6 {
            nested.number(UInt32(9))
            nested.number(UInt64(1))
        }
        nested.data(64)
        GGUFErrorTests.expect(
            .nestedTooDeep(file: "m.gguf", key: "a"), "m.gguf: metadata 'a' nests arrays too deep", nested)
        var bytes = GGUFBuilder(keys: 1)
        bytes.number(UInt64(2))
        bytes.number(UInt16(0xFFFF))
        bytes.data(64)
        GGUFErrorTests.expect(
            .invalidText(file: "m.gguf", reading: "a metadata key", offset: 32),
            "m.gguf: text that is not UTF-8 at byte 32 in a metadata key; is it damaged?", bytes)
    }

    @Test func tensors() {
        func file(_ tensors: [(String, [UInt64], UInt32, UInt64)], data: Int = 256) -> GGUFBuilder {
            var builder = GGUFBuilder(tensors: UInt64(tensors.count))
            for (name, dimensions, type, offset) in tensors {
                builder.tensor(name, dimensions, type: type, offset: offset)
            }
            builder.data(data)
            return builder
        }
        GGUFErrorTests.expect(
            .unknownTensorType(file: "m.gguf", tensor: "t", type: "Q1_0"),
            "m.gguf: tensor t has type Q1_0; supported: F32, F16, BF16, Q4_0, Q4_1, Q8_0, Q5_0, Q5_1, Q2_K, Q3_K, "
                + "Q4_K, Q5_K, Q6_K, IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS, IQ1_M, TQ1_0, "
                + "TQ2_0, MXFP4, NVFP4: quantize the model to one of these",
            file([("t", [256], 41, 0)]))
        GGUFErrorTests.expect(
            .badShape(file: "m.gguf", tensor: "t", dimensions: [1 << 63, 4]),
            "m.gguf: tensor t has the impossible dimensions [9223372036854775808, 4]",
            file([("t", [1 << 63, 4], 0, 0)]))
        GGUFErrorTests.expect(
            .badShape(file: "m.gguf", tensor: "t", dimensions: [0, 4]),
            "m.gguf: tensor t has the impossible dimensions [0, 4]", file([("t", [0, 4], 0, 0)]))
        GGUFErrorTests.expect(
            .impossibleCount(file: "m.gguf", of: "dimensions of tensor t", count: 9),
            "m.gguf: claims 9 dimensions of tensor t, more than the file has room for; is it damaged?",
            file([("t", [1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 0)]))
        GGUFErrorTests.expect(
            .unevenRows(file: "m.gguf", tensor: "t", type: "Q8_0", columns: 33),
            "m.gguf: tensor t has rows of 33, which Q8_0 cannot divide into blocks", file([("t", [33], 8, 0)]))
        GGUFErrorTests.expect(
            .misaligned(file: "m.gguf", tensor: "t", offset: 4, alignment: 32),
            "m.gguf: tensor t begins at 4, not a multiple of 32", file([("t", [8], 0, 4)]))
        GGUFErrorTests.expect(
            .outOfRange(file: "m.gguf", tensor: "t", offset: 224, bytes: 64, available: 256),
            "m.gguf: tensor t takes 64 bytes at 224 of 256; is the download complete?",
            file([("t", [16], 0, 224)]))
        GGUFErrorTests.expect(
            .outOfRange(file: "m.gguf", tensor: "t", offset: 0xFFFF_FFFF_FFFF_FFE0, bytes: 64, available: 256),
            "m.gguf: tensor t takes 64 bytes at 18446744073709551584 of 256; is the download complete?",
            file([("t", [16], 0, 0xFFFF_FFFF_FFFF_FFE0)]))
        GGUFErrorTests.expect(
            .overlap(file: "m.gguf", tensor: "u", other: "t"), "m.gguf: tensors u and t overlap",
            file([("t", [16], 0, 0), ("u", [8], 0, 32)]))
        GGUFErrorTests.expect(
            .duplicateTensor(file: "m.gguf", tensor: "t"), "m.gguf: tensor t comes twice",
            file([("t", [8], 0, 0), ("t", [8], 0, 32)]))
    }

    @Test func whatAModelNeeds() {
        #expect(
            throws: GGUFError.missingKey(
                file: "m.gguf", key: "general.architecture", expected: "the name of a family")
        ) { try Checkpoint(gguf: Storage(copying: GGUFBuilder().bytes), path: "m.gguf") }
        var other = GGUFBuilder(keys: 1)
        other.key("general.architecture", type: 8)
        other.text("mamba")
        #expect(
            throws: GGUFError.unsupportedArchitecture(
                file: "m.gguf", name: "mamba",
                supported: [
                    "llama", "qwen2", "qwen3", "qwen2moe", "qwen3moe", "gemma", "gemma2", "gemma3", "phi3", "gpt2",
                    "starcoder2", "olmo2", "bert",
                ])
        ) { try Checkpoint(gguf: Storage(copying: other.bytes), path: "m.gguf") }
    }

    /// A file cut anywhere is an error that names the file.
    @Test func truncatedAnywhere() throws {
        let bytes = try Fixture.bytes(Fixture.path("tied-q4_1.gguf"))
        for count in stride(from: 0, to: bytes.count, by: 997) {
            var message = ""
            do {
                _ = try Checkpoint(gguf: Storage(copying: Array(bytes[..<count])), path: "cut.gguf")
            } catch { message = "\(error)" }
            #expect(message.hasPrefix("cut.gguf: "), "\(count) bytes: \(message)")
        }
    }
}
