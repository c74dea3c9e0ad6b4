import Glibc
import Testing
import WinnowCore
import WinnowJSON
import WinnowTestKit

/// `winnow pull hf:…` against a hub on this machine.
@Suite(.enabled(if: CommandRun.executable != nil && CommandRun.hasCurl, "winnow or curl is missing"))
struct HubTests {
    private static func file(_ name: String) -> [UInt8] { TinyModel.contents("\(TinyModel.chat)/\(name)") }

    /// A hub with one repository, whose large file has its checksum in the list as on the real one.
    private static func hub(
        token: String? = nil, extra: [String] = [], damage: Bool = false
    ) throws -> LoopbackServer {
        let names = [
            "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
            "model.safetensors",
        ]
        var siblings: [JSONValue] = names.map { name in
            let bytes = file(name)
            guard name == "model.safetensors" else {
                return ["rfilename": .string(name), "size": .integer(Int64(bytes.count))]
            }
            let sum = bytes.withUnsafeBytes { SHA256.hexadecimal(of: $0) }
            return [
                "rfilename": .string(name), "size": .integer(Int64(bytes.count)),
                "lfs": ["sha256": .string(sum), "size": .integer(Int64(bytes.count))],
            ]
        }
        siblings += [["rfilename": "README.md", "size": 10], ["rfilename": "onnx/model.onnx", "size": 10]]
        siblings += extra.map { ["rfilename": .string($0), "size": 1] }
        let list = Array(JSONValue.object(JSONObject([("siblings", .array(siblings))])).text().utf8)
        return try LoopbackServer { request in
            if let token, request.headers["authorization"] != "Bearer \(token)" { return .status(401) }
            let path = String(request.path.prefix { $0 != "?" })
            if path == "/api/models/org/tiny/revision/v1" { return .body(list) }
            let prefix = "/org/tiny/resolve/v1/"
            guard path.hasPrefix(prefix), names.contains(String(path.dropFirst(prefix.count))) else {
                return .status(404)
            }
            var bytes = file(String(path.dropFirst(prefix.count)))
            if damage, path.hasSuffix(".safetensors") { bytes[bytes.count / 2] ^= 0x55 }
            return .body(bytes)
        }
    }

    private func environment(_ server: LoopbackServer, _ folder: String) -> [String: String?] {
        [
            "HF_ENDPOINT": server.address + "/", "WINNOW_CACHE": folder, "no_proxy": "127.0.0.1",
            "NO_PROXY": "127.0.0.1",
        ]
    }

    @Test func aRepositoryBecomesAFolderThatOpens() throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub()
            let environment = environment(server, folder)
            let ending = try CommandRun.run(["pull", "hf:org/tiny@v1", "--json"], environment: environment)
            #expect(ending.status == 0, "\(ending.errors)")
            let path = try #require(try ending.json()["path"]?.string)
            #expect(path == "\(folder)/models/hf--org--tiny@v1")
            // Weights, configuration, tokenizer and template; not the card, not other formats.
            #expect(
                Set(server.requests.map { String($0.path.split(separator: "/").last ?? "") }) == [
                    "v1?blobs=true", "config.json", "tokenizer.json", "tokenizer_config.json",
                    "chat_template.jinja",
                    "model.safetensors",
                ])
            // Named in a verb, it is found in the cache: nobody is asked.
            let count = server.requests.count
            let inspected = try CommandRun.run(
                ["inspect", "--model", "hf:org/tiny@v1", "--json"], environment: environment)
            #expect(try inspected.json()["architecture"] == "llama")
            #expect(server.requests.count == count)
            let listed = try CommandRun.run(["list", "--json"], environment: environment).json()
            #expect(
                listed["models"]?.array?.contains {
                    $0["name"] == "hf--org--tiny@v1" && $0["present"] == true
                } == true)
        }
    }

    @Test func theTokenGoesAlong() throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub(token: "hf_secret")
            var environment = environment(server, folder)
            let refused = try CommandRun.run(["pull", "hf:org/tiny@v1"], environment: environment)
            #expect(refused.status == 1 && refused.errors.contains("set HF_TOKEN"))
            environment["HF_TOKEN"] = "hf_secret"
            let granted = try CommandRun.run(["pull", "hf:org/tiny@v1"], environment: environment)
            #expect(granted.status == 0, "\(granted.errors)")
            #expect(!granted.errors.contains("hf_secret") && !granted.output.contains("hf_secret"))
        }
    }

    @Test(arguments: [["HF_HUB_OFFLINE": "1"], ["HF_HUB_OFFLINE": "true"]])
    func offlineAsksNobody(_ extra: [String: String]) throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub()
            let environment = environment(server, folder).merging(extra) { $1 }
            let ending = try CommandRun.run(["pull", "hf:org/tiny@v1"], environment: environment)
            #expect(ending.status == 1 && ending.errors.contains("HF_HUB_OFFLINE"))
            #expect(server.requests.isEmpty)
        }
    }

    @Test func aSnapshotOfOtherToolsIsUsed() throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub()
            let snapshot = "\(folder)/hub/models--org--tiny/snapshots/abc"
            for path in [
                "hub", "hub/models--org--tiny", "hub/models--org--tiny/refs",
                "hub/models--org--tiny/snapshots",
            ] {
                mkdir("\(folder)/\(path)", 0o777)
            }
            try #require(symlink(TinyModel.chat, snapshot) == 0)
            try TemporaryFolder.write(Array("abc\n".utf8), to: "\(folder)/hub/models--org--tiny/refs/main")
            var environment = environment(server, folder)
            environment["HF_HUB_CACHE"] = "\(folder)/hub"
            let ending = try CommandRun.run(["pull", "hf:org/tiny", "--json"], environment: environment)
            #expect(try ending.json()["path"]?.string == snapshot)
            #expect(server.requests.isEmpty)
        }
    }

    @Test func damageIsFound() throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub(damage: true)
            let ending = try CommandRun.run(
                ["pull", "hf:org/tiny@v1"], environment: environment(server, folder))
            #expect(ending.status == 1 && ending.errors.contains("wrong sha256"))
            #expect(access("\(folder)/models/hf--org--tiny@v1", F_OK) != 0)
        }
    }

    @Test(arguments: ["../../escape.json", "/etc/escape.json", "a//b.json", "-rf.json"])
    func namesThatLeaveTheFolderAreRefused(_ name: String) throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub(extra: [name])
            let ending = try CommandRun.run(
                ["pull", "hf:org/tiny@v1"], environment: environment(server, folder))
            #expect(ending.status == 1 && ending.errors.contains("not safe"))
            #expect(server.requests.count == 1)
        }
    }

    @Test func whatIsNotThereIsSaid() throws {
        try TemporaryFolder.with { folder in
            let server = try HubTests.hub()
            let ending = try CommandRun.run(
                ["pull", "hf:org/other@v1"], environment: environment(server, folder))
            #expect(ending.status == 1 && ending.errorLines.count == 1)
            #expect(ending.errors.contains("nothing there") && ending.errors.contains("org/other"))
        }
    }
}
