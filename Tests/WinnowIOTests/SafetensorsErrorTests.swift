import Testing
import WinnowCore
import WinnowIO
import WinnowJSON

@Suite struct SafetensorsErrorTests {
    static func file(_ header: String, data: Int, length: UInt64? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { bytes += Array($0) }
        return bytes + Array(header.utf8) + [UInt8](repeating: 0, count: data)
    }

    static func expect(_ error: SafetensorsError, _ message: String, _ bytes: [UInt8]) {
        #expect(throws: error) { try SafetensorsFile(parsing: Storage(copying: bytes), path: "s") }
        #expect(error.description == message)
    }

    @Test func headers() {
        let file = SafetensorsErrorTests.file
        SafetensorsErrorTests.expect(
            .tooShort(file: "s", bytes: 7),
            "s: 7 bytes are too few for a safetensors file; is the download complete?", [0, 1, 2, 3, 4, 5, 6])
        SafetensorsErrorTests.expect(
            .headerTooLarge(file: "s", bytes: 1 << 63, limit: 100_000_000),
            "s: claims a header of 9223372036854775808 bytes; 100000000 is the most: is this a safetensors file?",
            file("{}", 0, 1 << 63))
        SafetensorsErrorTests.expect(
            .headerPastEnd(file: "s", bytes: 3, fileBytes: 10),
            "s: a header of 3 bytes in a file of 10; is the download complete?", file("{}", 0, 3))
        SafetensorsErrorTests.expect(
            .badHeader(file: "s", error: .unexpectedEnd),
            "s: the header is not JSON: the text ends too early; is the file damaged?", file("{", 0, nil))
        SafetensorsErrorTests.expect(
            .headerNotObject(file: "s"), "s: the header is not an object; is this a safetensors file?",
            file("[]", 0, nil))
        SafetensorsErrorTests.expect(
            .duplicateKey(file: "s", key: "a"), "s: 'a' comes twice in the header",
            file(
                #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
                2, nil))
    }

    @Test(arguments: [
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 4, nil),
        (#"{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,4]}}"#, 4, .unknownType(file: "s", tensor: "a", type: "F4")),
        (#"{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}"#, 4, .badShape(file: "s", tensor: "a")),
        (#"{"a":{"dtype":"U8","shape":[4.5],"data_offsets":[0,4]}}"#, 4, .badShape(file: "s", tensor: "a")),
        (
            #"{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}"#, 0,
            .badShape(file: "s", tensor: "a")
        ),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,5]}}"#, 5,
            .wrongLength(file: "s", tensor: "a", bytes: 5, expected: 4)
        ),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 3,
            .outOfRange(file: "s", tensor: "a", end: 4, available: 3)
        ),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551616]}}"#, 4,
            .outOfRange(file: "s", tensor: "a", end: .max, available: 4)
        ),
        (
            #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[4,3]}}"#, 4,
            .badEntry(file: "s", tensor: "a", expected: "data_offsets in order")
        ),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}"#, 5, .hole(file: "s", offset: 0)),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 5, .hole(file: "s", offset: 4)),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            6, .overlap(file: "s", tensor: "b", offset: 2)
        ),
        (
            #"{"a":{"shape":[4],"data_offsets":[0,4]}}"#, 4,
            .badEntry(file: "s", tensor: "a", expected: "dtype, shape and two data_offsets")
        ),
        (#"{"a":7}"#, 0, .badEntry(file: "s", tensor: "a", expected: "dtype, shape and two data_offsets")),
        (#"{"__metadata__":{"a":7}}"#, 0, .badEntry(file: "s", tensor: "__metadata__", expected: "texts")),
    ] as [(String, Int, SafetensorsError?)])
    func entries(_ header: String, _ data: Int, _ error: SafetensorsError?) throws {
        let bytes = SafetensorsErrorTests.file(header, data: data)
        if let error {
            #expect(throws: error) { try SafetensorsFile(parsing: Storage(copying: bytes), path: "s") }
            #expect(error.description.hasPrefix("s: "))
        } else {
            let file = try SafetensorsFile(parsing: Storage(copying: bytes), path: "s")
            #expect(file["a"]?.shape == [4])
        }
    }

    @Test func writtenFilesReadBackEqual() throws {
        try Fixture.withFolder { folder in
            let tensors: [(name: String, tensor: Tensor)] = [
                ("odd", Tensor([1, 2, 3])), ("é\"\n", Tensor([Float](repeating: 4, count: 64))),
                ("empty", Tensor([Float](), shape: [0, 3])), ("matrix", Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])),
            ]
            try SafetensorsFile.write(tensors, to: "\(folder)/t.safetensors", overwrite: false)
            let file = try SafetensorsFile("\(folder)/t.safetensors")
            for (name, tensor) in tensors {
                let found = try #require(file[name])
                #expect(found.shape == tensor.shape && found.floats() == tensor.floats())
            }
            #expect(throws: CheckpointError.outputExists(path: "\(folder)/t.safetensors")) {
                try SafetensorsFile.write(tensors, to: "\(folder)/t.safetensors", overwrite: false)
            }
            #expect(Fixture.names(in: folder) == ["t.safetensors"])
        }
    }
}
