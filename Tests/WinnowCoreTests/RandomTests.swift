import Testing
import WinnowCore

@Suite struct RandomTests {
    /// The published generator, worked out with integers of another language.
    @Test func isTheSameSequenceEverywhere() {
        var zero = Random(seed: 0)
        #expect((0..<4).map { _ in zero.next() } == [
            0x99EC_5F36_CB75_F2B4, 0xBF6E_1F78_4956_452A, 0x1A5F_849D_4933_E6E0, 0x6AA5_94F1_262D_2D2C,
        ])
        var other = Random(seed: 42)
        #expect((0..<4).map { _ in other.next() } == [
            0x1578_0B2E_0C2E_C716, 0x6104_D986_6D11_3A7E, 0xAE17_5332_39E4_99A1, 0xECB8_AD47_03B3_60A1,
        ])
    }

    @Test func uniformsStayInTheirRangeAndFillIt() {
        var random = Random(seed: 7)
        var counts = [Int](repeating: 0, count: 10)
        for _ in 0..<20_000 {
            let value = random.uniform(), double = random.uniformDouble()
            #expect(value >= 0 && value < 1 && double >= 0 && double < 1)
            counts[Int(value * 10)] += 1
        }
        // 2,000 expected in each; six standard deviations of 42.
        #expect(counts.allSatisfy { abs($0 - 2000) < 255 })
    }

    @Test func normalsHaveMeanZeroAndVarianceOne() {
        var random = Random(seed: 11)
        let values = (0..<20_000).map { _ in Double(random.normal()) }
        let mean = values.reduce(0, +) / 20_000
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
        #expect(abs(mean) < 0.04)
        #expect(abs(variance - 1) < 0.06)
        #expect(values.allSatisfy { abs($0) <= 6 })
    }
}
