import Glibc
import Synchronization
import Testing
import WinnowCore
import WinnowJSON
import WinnowTestKit

/// `winnow pull` against a server on this machine.
@Suite(.enabled(if: CommandRun.executable != nil && CommandRun.hasCurl, "winnow or curl is missing"))
struct PullTests {
    /// Something that looks like nothing else, long enough to be cut.
    private static let payload: [UInt8] = {
        var random = Random(seed: 7)
        return (0..<300_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()

    private static func sum(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { SHA256.hexadecimal(of: $0) }
    }

    /// A catalogue with one model, and the environment that names it.
    private func environment(
        _ folder: String, sources: [String], sha256: String = sum(payload), bytes: Int = payload.count
    ) throws -> [String: String?] {
        let catalogue: JSONValue = [
            "models": [
                [
                    "name": "test-model", "summary": "for tests", "license": "CC0-1.0", "file": "model.gguf",
                    "bytes": .integer(Int64(bytes)), "sha256": .string(sha256),
                    "sources": .array(sources.map { .string($0) }),
                ]
            ]
        ]
        try TemporaryFolder.write(Array(catalogue.text().utf8), to: "\(folder)/catalogue.json")
        return [
            "WINNOW_CATALOGUE": "\(folder)/catalogue.json", "WINNOW_CACHE": "\(folder)/cache",
            "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
        ]
    }

    @Test func aCutConnectionIsTakenUpWhereItStopped() throws {
        try TemporaryFolder.with { folder in
            let server = try LoopbackServer { request in
                .body(PullTests.payload, limit: request.start < 200_000 ? 100_000 : nil)
            }
            let environment = try environment(folder, sources: ["\(server.address)/model.gguf"])
            let ending = try CommandRun.run(["pull", "test-model", "--json"], environment: environment)
            #expect(ending.status == 0, "\(ending.errors)")
            let json = try ending.json()
            let path = try #require(json["path"]?.string)
            #expect(path == "\(folder)/cache/models/test-model/model.gguf")
            #expect(json["bytes"]?.integer == PullTests.payload.count)
            #expect(json["sha256"]?.string == PullTests.sum(PullTests.payload))
            #expect(TinyModel.contents(path) == PullTests.payload)
            #expect(server.requests.map(\.start) == [0, 100_000, 200_000])
            // Nothing is left aside, and a second pull asks nobody.
            #expect(access("\(folder)/cache/partial/test-model", F_OK) != 0)
            #expect(try CommandRun.run(["pull", "test-model"], environment: environment).status == 0)
            #expect(server.requests.count == 3)
        }
    }

    @Test func anInterruptedPullResumes() throws {
        try TemporaryFolder.with { folder in
            // The first run gets a third and then nothing more.
            let stuck = try LoopbackServer { request in
                request.start == 0 ? .body(PullTests.payload, limit: 100_000) : .hangUp
            }
            let first = try CommandRun.run(
                ["pull", "test-model"], environment: environment(folder, sources: ["\(stuck.address)/m"]))
            #expect(first.status == 1 && first.output.isEmpty)
            #expect(TinyModel.contents("\(folder)/cache/partial/test-model/model.gguf").count == 100_000)
            let server = try LoopbackServer { _ in .body(PullTests.payload) }
            let second = try CommandRun.run(
                ["pull", "test-model"], environment: environment(folder, sources: ["\(server.address)/m"]))
            #expect(second.status == 0, "\(second.errors)")
            #expect(server.requests.map(\.start) == [100_000])
        }
    }

    @Test func aServerWithoutRangesStartsAgain() throws {
        try TemporaryFolder.with { folder in
            let counter = Counter()
            let server = try LoopbackServer { _ in
                counter.next() == 0 ? .body(PullTests.payload, limit: 50_000) : .wholeBody(PullTests.payload)
            }
            let ending = try CommandRun.run(
                ["pull", "test-model"], environment: environment(folder, sources: ["\(server.address)/m"]))
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(TinyModel.contents("\(folder)/cache/models/test-model/model.gguf") == PullTests.payload)
        }
    }

    @Test func aWrongSumIsRefused() throws {
        try TemporaryFolder.with { folder in
            var other = PullTests.payload
            other[1234] ^= 1
            let served = other
            let server = try LoopbackServer { _ in .body(served) }
            let environment = try environment(folder, sources: ["\(server.address)/m"])
            let ending = try CommandRun.run(["pull", "test-model", "--quiet"], environment: environment)
            #expect(ending.status == 1 && ending.output.isEmpty)
            #expect(ending.errorLines.count == 1 && ending.errors.contains("wrong sha256"))
            #expect(ending.errors.contains(PullTests.sum(PullTests.payload)))
            #expect(access("\(folder)/cache/models/test-model", F_OK) != 0)
            #expect(access("\(folder)/cache/partial/test-model/model.gguf", F_OK) != 0)
        }
    }

    @Test func aWrongSizeIsRefused() throws {
        try TemporaryFolder.with { folder in
            let server = try LoopbackServer { _ in .body(Array("<html>not found</html>".utf8)) }
            let ending = try CommandRun.run(
                ["pull", "test-model"], environment: environment(folder, sources: ["\(server.address)/m"]))
            #expect(ending.status == 1 && ending.errors.contains("wrong size"))
        }
    }

    /// A source that is broken in any of the usual ways gives way to the next within seconds.
    @Test(arguments: ["404", "500", "hang up", "closed port", "wrong sum", "no such name"])
    func theNextSourceFollows(_ problem: String) throws {
        try TemporaryFolder.with { folder in
            let bad = try LoopbackServer { _ in
                switch problem {
                case "404": .status(404)
                case "500": .status(500)
                case "wrong sum": .body([UInt8](repeating: 0, count: PullTests.payload.count))
                default: .hangUp
                }
            }
            let good = try LoopbackServer { _ in .body(PullTests.payload) }
            let first =
                switch problem {
                case "closed port": "http://127.0.0.1:9/m"
                case "no such name": "http://winnow-test.invalid/m"
                default: "\(bad.address)/m"
                }
            let start = ContinuousClock.now
            let ending = try CommandRun.run(
                ["pull", "test-model"],
                environment: environment(folder, sources: [first, "\(good.address)/m"]))
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            #expect(ending.status == 0, "\(ending.errors)")
            #expect(seconds < 15, "\(seconds) s")
            // The failure is told, once.
            #expect(ending.errors.contains(first) && good.requests.count == 1)
            #expect(TinyModel.contents("\(folder)/cache/models/test-model/model.gguf") == PullTests.payload)
        }
    }

    @Test func aMalformedCatalogueIsNamed() throws {
        try TemporaryFolder.with { folder in
            try TemporaryFolder.write(
                Array("{\"models\": [{\"name\": \"../x\"}]}".utf8), to: "\(folder)/c.json")
            let ending = try CommandRun.run(["list"], environment: ["WINNOW_CATALOGUE": "\(folder)/c.json"])
            #expect(ending.status == 1 && ending.errors.contains("models[0]"))
        }
    }
}

/// Counts calls from the server's thread.
final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    func next() -> Int { count.add(1, ordering: .relaxed).oldValue }
}
