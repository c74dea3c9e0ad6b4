import Testing
import WinnowCore
import WinnowIO
import WinnowJSON

@Suite struct RopeTests {
    /// Frequencies of transformers for each kind of scaling (`Tools/make_families.py`).
    @Test func frequenciesMatchTransformers() throws {
        let path = Fixture.folder.replacingLast(with: "families/ropes.json")
        let file = try Storage.mapping(path)
        let cases = try JSONValue(
            parsing: Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount)))
        #expect(cases.array?.count == 5)
        for one in cases.array ?? [] {
            guard case .object(let config)? = one["config"] else { continue }
            let settings = try FieldReader(fields: config, file: "config.json")
                .rope(base: 10_000, headWidth: 64, context: 131_072)
            for (key, capacity) in [("short", 16), ("long", 100_000)] {
                let (values, attention) = settings.frequencies(headWidth: 64, capacity: capacity)
                let expected = one[key]?.array?.compactMap(\.number) ?? []
                #expect(expected.count == 32)
                for (value, right) in zip(values, expected) {
                    #expect(abs(Double(value) - right) <= 3e-6 * right, "\(settings.scaling), \(key)")
                }
                #expect(abs(Double(attention) - (one["attention"]?.number ?? 0)) < 1e-6)
            }
        }
    }
}

extension String {
    fileprivate func replacingLast(with name: String) -> String {
        split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/" + name
    }
}
