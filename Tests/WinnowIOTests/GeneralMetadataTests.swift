import Testing
import WinnowCore
import WinnowIO
import WinnowJSON

/// What a model says of itself goes along with it.
@Suite struct GeneralMetadataTests {
    /// A fixture's file with more metadata of its own, in Winnow's key order.
    static func file(_ folder: String, _ config: String) throws -> String {
        let path = "\(folder)/source"
        try ConversionTests.convert(Fixture.path("tied-q4_1.gguf"), .hf, to: path)
        try FolderErrorTests.edit("\(path)/config.json") {
            $0["winnow"] = try? JSONValue(parsing: #"{"version": 1, "metadata": \#(config)}"#)
        }
        try ConversionTests.convert(path, .gguf, .q4_0, to: "\(path).gguf")
        return "\(path).gguf"
    }

    static let said = #"""
        {"general.name": "Wheat 135M", "general.author": "Ada \"A\" Löwe", "general.license": "apache-2.0",
         "general.url": "https://example.org/wheat", "general.tags": ["text-generation", "llama", ""],
         "general.languages": [], "general.base_model.count": 1, "general.base_model.0.name": "Chaff"}
        """#

    @Test func metadataGoesFromFileToFileAndThroughFolders() throws {
        try Fixture.withFolder { folder in
            let file = try GeneralMetadataTests.file(folder, GeneralMetadataTests.said)
            let metadata = try Checkpoint.open(file).configuration.metadata
            #expect(metadata.keys.count == 8)
            #expect(metadata.name == "Wheat 135M")
            #expect(metadata["general.author"] == .text("Ada \"A\" Löwe"))
            #expect(metadata["general.tags"] == .texts(["text-generation", "llama", ""]))
            #expect(metadata["general.languages"] == .texts([]))
            #expect(metadata["general.base_model.count"] == .count(1))
            for target in ModelConversion.Target.allCases {
                let path = "\(folder)/\(target)"
                try ConversionTests.convert(file, target, to: path)
                #expect(try Checkpoint.open(path).configuration.metadata == metadata, "\(target)")
                try ConversionTests.convert(path, .gguf, to: "\(path)-again.gguf")
                let again = try GGUFFile("\(path)-again.gguf")
                #expect(
                    try Checkpoint.open("\(path)-again.gguf").configuration.metadata == metadata, "\(target)")
                #expect(again["general.license"]?.string == "apache-2.0")
                #expect(try again.strings("general.tags") == ["text-generation", "llama", ""])
                #expect(again["general.type"]?.string == "model")
            }
        }
    }

    @Test func aFolderWithoutANameGivesItsOwn() throws {
        try Fixture.withCopy(of: "untied") { folder in
            let name = try #require(folder.split(separator: "/").last.map(String.init))
            for (edit, expected) in [
                (nil, name), ("org/wheat", "org/wheat"), ("", name),
            ] as [(JSONValue?, String)] {
                try FolderErrorTests.edit("\(folder)/config.json") { $0["_name_or_path"] = edit }
                try Fixture.withFolder { out in
                    try ConversionTests.convert(folder + "/", .gguf, to: "\(out)/model.gguf")
                    #expect(try GGUFFile("\(out)/model.gguf")["general.name"]?.string == expected)
                }
            }
        }
    }

    @Test func metadataThatNoFileCouldHave() {
        func metadata(_ json: JSONValue) -> (String) throws -> Void {
            FolderErrorTests.config("winnow", ["version": 1, "metadata": json])
        }
        FolderErrorTests.expect(
            "M/config.json: 'winnow.metadata' is 3; expected an object", metadata(3))
        FolderErrorTests.expect(
            "M/config.json: 'winnow.metadata.license' is \"mit\"; "
                + "expected a key that begins with general. and is not of the file itself",
            metadata(["license": "mit"]))
        FolderErrorTests.expect(
            "M/config.json: 'winnow.metadata.general.architecture' is \"gpt\"; "
                + "expected a key that begins with general. and is not of the file itself",
            metadata(["general.architecture": "gpt"]))
        for (key, value) in [
            ("general.tags", #"["a",1]"#), ("general.name", "7"), ("general.dataset.count", "-1"),
        ] {
            FolderErrorTests.expect(
                "M/config.json: 'winnow.metadata.\(key)' is \(value); expected a text, a list of texts, or a whole "
                    + "number under a key that ends with .count",
                metadata(.object(JSONObject([(key, (try? JSONValue(parsing: value)) ?? .null)]))))
        }
    }
}
