import Testing
import WinnowReport

@Suite struct FormatTests {
    @Test(
        arguments: [
            (0, "0"), (0.0123, "0.0123"), (1.234, "1.23"), (9.996, "10.0"), (123.4, "123"), (1234.5, "1,234"),
            (99_999, "99,999"), (0.000_012_3, "1.23e-05"), (-2.5, "-2.50"), (.nan, "–"), (.infinity, "–"),
        ] as [(Double, String)])
    func significantDigits(_ value: Double, _ text: String) { #expect(Format.significant(value) == text) }

    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (98_362_432, "93.8 MiB"), (1 << 30, "1.00 GiB"),
        (1_048_000, "1023 KiB"), (1_048_575, "1.00 MiB"),
    ])
    func bytes(_ value: Int, _ text: String) { #expect(Format.bytes(value) == text) }

    @Test(
        arguments: [
            (0, "0 s"), (0.000_85, "850 µs"), (0.0123, "12.3 ms"), (3.42, "3.42 s"), (59.96, "1 min 00 s"),
            (125, "2 min 05 s"), (3720, "1 h 02 min"), (.nan, "–"),
        ] as [(Double, String)])
    func durations(_ value: Double, _ text: String) { #expect(Format.duration(value) == text) }

    @Test func changesHaveASign() {
        #expect(Format.change(from: 100, to: 103.2) == "+3.2 %")
        #expect(Format.change(from: 100, to: 99.9) == "-0.1 %")
        #expect(Format.change(from: 0, to: 1) == "–")
        #expect(Format.percent(0.5) == "50.0 %")
    }

    @Test func barsFillInEighths() {
        #expect(Format.bar(0.5, width: 4) == "██··")
        #expect(Format.bar(1.0 / 32, width: 4) == "▏···")
        #expect(Format.bar(.nan, width: 2) == "··")
        #expect(Format.bar(7, width: 2) == "██")
    }

    @Test func tablesAlign() {
        var table = Table([.init("a"), .figures("n")])
        table.add(["long name", "1"])
        table.add(["b", "12,345"])
        #expect(
            table.text == """
                a               n
                ─────────  ──────
                long name       1
                b          12,345

                """)
    }
}

@Suite struct ProgressTests {
    @Test func quickWorkShowsNothing() {
        var renderer = ProgressRenderer(.bar(columns: 80))
        #expect(renderer.render(Progress("a", completed: 0, total: 2), atSeconds: 0) == nil)
        #expect(renderer.render(Progress("a", completed: 2, total: 2), atSeconds: 0.2) == nil)
    }

    @Test func logsGetALineEveryFewSeconds() {
        var renderer = ProgressRenderer(.lines(everySeconds: 5))
        func show(_ completed: Int, _ seconds: Double) -> ProgressRenderer.Output? {
            renderer.render(
                Progress("pruning", completed: completed, total: 30, unit: .items("blocks")),
                atSeconds: seconds)
        }
        #expect(show(0, 0) == nil)
        #expect(show(3, 3) == .line("pruning: 3 of 30 blocks, 27.0 s left"))
        #expect(show(5, 5) == nil)
        #expect(show(10, 10) == .line("pruning: 10 of 30 blocks, 20.0 s left"))
        #expect(show(30, 30) == .line("pruning: 30 of 30 blocks, 30.0 s"))
    }

    @Test func barsFitTheTerminal() throws {
        for columns in [1, 10, 40, 200] {
            var renderer = ProgressRenderer(.bar(columns: columns))
            _ = renderer.render(Progress("fetching", completed: 0, total: 100, unit: .bytes), atSeconds: 0)
            let output = renderer.render(
                Progress("fetching", completed: 50, total: 100, unit: .bytes), atSeconds: 1)
            guard case .transient(let text) = try #require(output) else {
                Issue.record("not a bar: \(String(describing: output))")
                continue
            }
            #expect(text.count <= max(columns - 1, 1))
        }
    }
}
