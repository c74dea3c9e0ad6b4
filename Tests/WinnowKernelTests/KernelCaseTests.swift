import CWinnow
import CWinnowCases
import Testing

/// A family of the kernel cases under one instruction set that this machine has.
private struct Batch: CustomTestStringConvertible, Sendable {
    let isa: wn_isa
    let family: wn_case_family

    var testDescription: String {
        String(cString: wn_case_family_name(family)) + " on " + String(cString: wn_isa_name(isa))
    }

    static let all: [Batch] = [WN_ISA_SCALAR, WN_ISA_AVX2, WN_ISA_AVX512, WN_ISA_NEON]
        .filter { wn_isa_available($0) }
        .flatMap { isa in
            (0..<WN_CASE_FAMILY_COUNT.rawValue).map { Batch(isa: isa, family: wn_case_family($0)) }
        }

    var cases: [wn_case] {
        [wn_case](unsafeUninitializedCapacity: wn_case_list(nil, 0)) { buffer, initialized in
            initialized = wn_case_list(buffer.baseAddress, buffer.count)
        }.filter { $0.family == family }
    }
}

@Suite struct KernelCaseTests {
    /// Every case against its float64 definition, the scalar kernels, other thread counts and batch sizes, in buffers
    /// that end at a page which traps.
    @Test(arguments: Batch.all) private func kernelsAnswerAsDefined(_ batch: Batch) throws {
        let cases = batch.cases
        try #require(!cases.isEmpty)
        var results = [wn_case_result](repeating: wn_case_result(), count: cases.count)
        try #require(wn_cases_run(batch.isa, cases, cases.count, &results))
        for (kernelCase, result) in zip(cases, results) where !result.passed {
            Issue.record("\(text(kernelCase.name)): \(text(result.message))")
        }
    }

    /// The list has every weight format under every kind of input that its products read; the larger blocks of GGUF are
    /// held to the reference package instead (GGMLBlockTests).
    @Test func everyFormatIsInTheList() {
        let products = Batch(isa: WN_ISA_SCALAR, family: WN_CASE_PRODUCT).cases
        for format in 0..<Int32(WN_Q5_0.rawValue) {
            let wanted = wn_format_input(wn_format(UInt32(format)))
            for kind in Set([WN_INPUT_F32.rawValue, wanted.rawValue]) {
                #expect(products.contains { $0.format == format && $0.kind == Int32(kind) })
            }
        }
    }

    @Test func aSetThatIsNotHereDoesNotRun() {
        let missing = [WN_ISA_AVX512, WN_ISA_NEON].filter { !wn_isa_available($0) }
        let one = Array(Batch(isa: WN_ISA_SCALAR, family: WN_CASE_STATISTICS).cases.prefix(1))
        for isa in missing {
            var results = [wn_case_result()]
            #expect(!wn_cases_run(isa, one, 1, &results))
        }
    }
}

/// A C array of characters, as Swift imports it.
private func text<Characters>(_ characters: Characters) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
