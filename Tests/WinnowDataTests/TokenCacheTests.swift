import Testing
import WinnowCore
import WinnowData
import WinnowTestKit
import WinnowText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct TokenCacheTests {
    private let tokenizer: Tokenizer

    init() throws { tokenizer = try TinyTokenizer.tokenizer() }

    private let lines = (0..<40).map { "{\"text\": \"document \($0) of some words\"}\n" }.joined()

    private func bytes(_ path: String) throws -> [UInt8] {
        let storage = try Storage.mapping(path)
        return Array(UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount))
    }

    private func all(_ store: TokenStore) -> [[TokenID]] {
        (0..<store.documentCount).map { store.ids(store.range($0)) }
    }

    @Test func isMadeOnceAndFoundAgain() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/train.jsonl"
            try TemporaryFolder.write(Array(lines.utf8), to: path)
            let made = try TokenCache(path, tokenizer: tokenizer, in: folder)
            let found = try TokenCache(path, tokenizer: tokenizer, in: folder)
            #expect(made.origin == .made && found.origin == .found && made.path == found.path)
            let direct = try TokenStore.reading(path, tokenizer: tokenizer)
            #expect(all(made.store) == all(direct) && all(found.store) == all(direct))
            #expect((0..<40).map(found.store.line) == Array(1...40))
            #expect(found.store.mayBeCut(3))
        }
    }

    @Test func followsTheTextAndTheTokenizer() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/train.jsonl"
            try TemporaryFolder.write(Array(lines.utf8), to: path)
            _ = try TokenCache(path, tokenizer: tokenizer, in: folder)
            try TemporaryFolder.write(Array((lines + "{\"text\": \"more\"}\n").utf8), to: path)
            let changed = try TokenCache(path, tokenizer: tokenizer, in: folder)
            #expect(changed.origin == .remade && changed.store.documentCount == 41)
            #expect(try TokenCache(path, tokenizer: tokenizer, in: folder).origin == .found)
            // The template is part of what makes ids.
            let template = try TinyTokenizer.template()
            #expect(
                try TokenCache(path, tokenizer: tokenizer, template: template, in: folder).origin == .remade)
        }
    }

    /// Any bit that changes is noticed, and the cache made again.
    @Test func damageIsNoticed() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/train.jsonl"
            try TemporaryFolder.write(Array(lines.utf8), to: path)
            let cache = try TokenCache(path, tokenizer: tokenizer, in: folder)
            let right = all(cache.store), good = try bytes(cache.path)
            var random = Random(seed: 1)
            for turn in 0..<32 {
                var bad = good
                switch turn % 4 {
                case 0: bad[Int(random.next() % 88)] ^= 1 << UInt8(random.next() % 8)
                case 1:
                    bad[128 + Int(random.next() % UInt64(good.count - 128))] ^= 1 << UInt8(random.next() % 8)
                case 2: bad.removeLast(Int(random.next() % UInt64(good.count)) + 1)
                default: bad += [0]
                }
                // Another file: the one before may still be mapped.
                unlink(cache.path)
                try TemporaryFolder.write(bad, to: cache.path)
                let again = try TokenCache(path, tokenizer: tokenizer, in: folder)
                #expect(again.origin == .remade, "turn \(turn)")
                #expect(all(again.store) == right)
                #expect(try bytes(cache.path) == good)
            }
        }
    }

    @Test func nothingIsLeftOfWorkThatStops() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/train.jsonl"
            try TemporaryFolder.write(Array((lines + "{\n").utf8), to: path)
            #expect(throws: DataError.self) { try TokenCache(path, tokenizer: tokenizer, in: folder) }
            try TemporaryFolder.write(Array(lines.utf8), to: path)
            let flag = CancellationFlag()
            var seen = 0
            #expect(throws: CancellationError.self) {
                try TokenCache(path, tokenizer: tokenizer, in: folder, cancellation: flag) { _, _ in
                    seen += 1
                    if seen == 5 { flag.cancel() }
                }
            }
            #expect(seen == 5)
            let names = try #require(opendir(folder))
            defer { closedir(names) }
            var count = 0
            while let entry = readdir(names) { count += entry.pointee.d_name.0 == 0x2E ? 0 : 1 }
            #expect(count == 1)
            #expect(access("\(folder)/.train", F_OK) != 0)
        }
    }

    /// More than the writer's buffer, an odd number of tokens, and documents across its pieces.
    @Test func manyTokens() throws {
        try TemporaryFolder.with { folder in
            let path = "\(folder)/long.jsonl"
            var text = ""
            for index in 0..<1500 {
                text += "{\"text\": \"" + String(repeating: "0123456789", count: 20 + index % 7) + "\"}\n"
            }
            try TemporaryFolder.write(Array(text.utf8), to: path)
            var last = 0
            let cache = try TokenCache(path, tokenizer: tokenizer, in: folder) { done, _ in
                #expect(done >= last)
                last = done
            }
            let direct = try TokenStore.reading(path, tokenizer: tokenizer)
            #expect(cache.store.tokenCount == direct.tokenCount && direct.tokenCount > 1 << 18)
            #expect(cache.store.ids(0..<direct.tokenCount) == direct.ids(0..<direct.tokenCount))
            #expect((0..<1500).allSatisfy { cache.store.range($0) == direct.range($0) })
        }
    }
}
