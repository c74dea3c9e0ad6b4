import Testing
import WinnowReport

@Suite struct ChartTests {
    static let hostile = "<script>alert(\"1\")</script> & 'x' \u{0}\u{1B}[31m \u{FFFF}"

    private static let points: [ScatterChart.Point] = [
        .init("as given", x: 94, y: 20, error: 0.4, isBase: true),
        .init("half", x: 80, y: 31, error: 0.6),
        .init("half, worse", x: 80, y: 40),
        .init("larger", x: 110, y: 19.5),
    ]

    @Test func checkerRefusesWhatIsNotXML() {
        #expect(throws: XMLChecker.Problem.self) { try XMLChecker.elements(of: "<a><b></a></b>") }
        #expect(throws: XMLChecker.Problem.self) { try XMLChecker.elements(of: "<a>&nbsp;</a>") }
        #expect(throws: XMLChecker.Problem.self) { try XMLChecker.elements(of: "<a b=\"1\" b=\"2\"/>") }
        #expect(throws: XMLChecker.Problem.self) { try XMLChecker.elements(of: "<a x='1'/>") }
        #expect(throws: XMLChecker.Problem.self) { try XMLChecker.elements(of: "<a>\u{1}</a>") }
        #expect(throws: XMLChecker.Problem.unclosed("a")) { try XMLChecker.elements(of: "<a>") }
        #expect(throws: XMLChecker.Problem.duplicateID("i")) {
            try XMLChecker.elements(of: "<a><b id=\"i\"/><b id=\"i\"/></a>")
        }
    }

    @Test func frontierKeepsWhatNothingBeats() {
        let chart = ScatterChart("frontier", x: "MiB", y: "perplexity", points: ChartTests.points)
        #expect(chart.frontier.map(\.name) == ["half", "as given", "larger"])
    }

    @Test func linesShowTheirPointsAndBends() throws {
        let chart = CurveChart(
            ChartTests.hostile, x: "zeros", y: "perplexity",
            series: [
                .init("one", points: [(0.1, 20), (0.2, 21), (0.5, 900), (0.6, .infinity)], knee: 0.25),
                .init("2:4", points: [(0.5, 300)], isScattered: true), .init("none", points: []),
            ], reference: 19)
        let svg = chart.svg
        _ = try XMLChecker.elements(of: svg)
        #expect(svg.split(separator: "<circle").count - 1 == 5)
        #expect(svg.split(separator: "<polyline").count - 1 == 1)
        #expect(svg.contains("one bends at 0.25"))
        let empty = CurveChart("none", x: "", y: "", series: [])
        #expect(empty.svg.contains("No figures"))
        #expect(chart.html.contains("Rings are where a curve bends."))
    }

    @Test func frontierOfEqualPointsIsOne() {
        let points: [ScatterChart.Point] = [
            .init("a", x: 1, y: 1), .init("b", x: 1, y: 1), .init("c", x: 2, y: 1),
        ]
        #expect(ScatterChart("f", x: "", y: "", points: points).frontier.map(\.name) == ["a"])
    }

    @Test func linesAreThinnedNotCut() throws {
        let many = (0..<5000).map { LineChart.Point(Double($0), 9 - Double($0) / 1000) }
        let chart = LineChart(
            "Loss \(ChartTests.hostile)", x: "step", y: "nats",
            lines: [
                .init("training", many),
                .init("validation", [.init(2500, 6.5), .init(4999, 5)], isBase: true),
                .init("gone", [.init(1, .nan)]), .init("one", [.init(10, 7)]),
            ])
        _ = try XMLChecker.elements(of: chart.svg)
        let lines = chart.svg.split(separator: "\n").filter { $0.hasPrefix("<polyline") }
        #expect(lines.count == 2)
        #expect(lines[0].split(separator: ",").count > 300 && lines[0].split(separator: ",").count < 410)
        #expect(chart.svg.contains("training: from 8.994 at 6.00 to 4.00"))
        #expect(chart.svg.contains(">validation</text>") && !chart.svg.contains(">gone</text>"))
        _ = try XMLChecker.elements(of: LineChart("empty", x: "", y: "", lines: []).svg)
    }

    @Test func scatterShowsEveryPointWithItsLabel() throws {
        let chart = ScatterChart(
            "Size and quality", x: "file size, MiB", y: "perplexity", points: ChartTests.points)
        let elements = try XMLChecker.elements(of: chart.svg)
        #expect(elements.count { $0.name == "circle" } == 4)
        #expect(elements.count { $0.attributes["class"] == "point base" } == 1)
        let texts = elements.filter { $0.name == "text" }.map(\.text)
        for point in ChartTests.points { #expect(texts.contains(point.name)) }
        #expect(texts.contains("file size, MiB") && texts.contains("perplexity"))
        let svg = try #require(elements.first)
        #expect(svg.attributes["role"] == "img")
        let ids = Set(elements.compactMap { $0.attributes["id"] })
        for id in svg.attributes["aria-labelledby"]?.split(separator: " ") ?? [] {
            #expect(ids.contains(String(id)))
        }
    }

    @Test func wideRangesStandOnALogarithmicAxis() throws {
        let points: [ScatterChart.Point] = [.init("a", x: 1, y: 10), .init("b", x: 2, y: 5000)]
        let svg = ScatterChart("f", x: "MiB", y: "perplexity", points: points).svg
        #expect(svg.contains("perplexity · logarithmic") && !svg.contains("MiB · logarithmic"))
    }

    @Test(
        arguments: [
            [], [.nan], [.infinity, -.infinity], [5], [5, 5, 5], [0, 0], [1e-300, 1e300], [1e15, 1e15 + 1],
            [-3, 4],
            [.nan, 2, .greatestFiniteMagnitude],
        ] as [[Double]])
    func anySeriesGivesWellFormedPictures(_ values: [Double]) throws {
        let scatter = ScatterChart(
            "scatter", x: "x", y: "y",
            points: values.enumerated().map {
                .init("p\($0.offset)", x: $0.element, y: $0.element, error: .nan)
            })
        let bars = BarChart(
            "bars", unit: "u", bars: values.enumerated().map { .init("b\($0.offset)", $0.element) })
        let heat = HeatChart("heat", rows: ["r", "s"], values: [values, []])
        for svg in [scatter.svg, bars.svg, heat.svg] {
            for element in try XMLChecker.elements(of: svg) {
                for key in ["x", "y", "x1", "x2", "y1", "y2", "width", "height", "cx", "cy", "r"] {
                    guard let text = element.attributes[key] else { continue }
                    let value = try #require(Double(text), "\(key) is \(text)")
                    #expect((-1...2000).contains(value), "\(element.name) \(key) = \(value)")
                }
            }
        }
    }

    @Test func figuresThatAreNotThereAreNamed() {
        let chart = ScatterChart(
            "f", x: "", y: "", points: [.init("broken", x: 1, y: .nan), .init("good", x: 1, y: 2)])
        #expect(chart.html.contains("Not shown, without figures: broken."))
        #expect(BarChart("b", unit: "t", bars: [.init("broken", .nan)]).svg.contains(">–</text>"))
    }

    @Test func hostileNamesAreText() throws {
        let name = ChartTests.hostile
        let charts: [String] = [
            ScatterChart(name, x: name, y: name, points: [.init(name, x: 1, y: 2)]).html,
            BarChart(name, unit: name, bars: [.init(name, 1)], note: name).html,
            HeatChart(name, rows: [name], values: [[0.5]], note: name).html,
        ]
        for html in charts {
            let elements = try XMLChecker.elements(of: html)
            #expect(!elements.contains { $0.name == "script" })
            #expect(
                elements.contains {
                    $0.text.contains("<script>alert(\"1\")</script> & 'x' \u{FFFD}\u{FFFD}[31m")
                })
        }
    }

    @Test func barsAreAsLongAsTheirValues() throws {
        let chart = BarChart(
            "b", unit: "t/s", bars: [.init("a", 100, isBase: true), .init("b", 50), .init("c", 0)])
        let widths = try XMLChecker.elements(of: chart.svg).filter { $0.name == "rect" }
            .map { Double($0.attributes["width"] ?? "") ?? -1 }
        #expect(widths.count == 3)
        #expect(abs(widths[1] * 2 - widths[0]) < 0.05 && widths[2] == 0)
        // Each of the others has the base's mark.
        #expect(chart.svg.occurrences(of: "class=\"reference\"") == 2)
    }

    @Test func heatGathersLayersByBlockAndKind() {
        func layer(_ name: String, _ zeros: Int) -> LayerBar {
            LayerBar(name: name, format: "f", weights: 10, zeros: zeros, bytes: 1)
        }
        let chart = HeatChart(
            "heat",
            layers: [
                layer("model.embed_tokens.weight", 9), layer("model.layers.0.mlp.up_proj.weight", 1),
                layer("model.layers.1.mlp.up_proj.weight", 2),
                layer("model.layers.1.self_attn.q_proj.weight", 3),
                layer("model.layers.x.mlp.up_proj.weight", 4),
            ])
        #expect(chart.rows == ["up_proj", "q_proj"])
        #expect(chart.values[0] == [0.1, 0.2])
        #expect(chart.values[1][0].isNaN && chart.values[1][1] == 0.3)
    }

    @Test func smallChartIsAsItWas() {
        let chart = BarChart(
            "Bits", unit: "bits", bars: [.init("as given", 4, isBase: true), .init("a & b", 2)])
        #expect(
            chart.svg == """
                <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 96" role="img" aria-labelledby="c-bits-title c-bits-desc">
                <title id="c-bits-title">Bits</title>
                <desc id="c-bits-desc">as given: 4.00 bits; a &amp; b: 2.00 bits.</desc>
                <text class="label strong" x="2" y="17">as given</text>
                <text class="value strong" x="516" y="17" text-anchor="end">4.00 bits</text>
                <rect class="bar base" x="2" y="23" width="514" height="16"><title>as given: 4.00 bits</title></rect>
                <text class="label" x="2" y="61">a &amp; b</text>
                <text class="value" x="516" y="61" text-anchor="end">2.00 bits</text>
                <rect class="bar" x="2" y="67" width="257" height="16"><title>a &amp; b: 2.00 bits</title></rect>
                <line class="reference" x1="516" y1="66" x2="516" y2="86"/>
                </svg>

                """)
    }
}

extension String {
    /// How often a text occurs.
    fileprivate func occurrences(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

@Suite struct RooflineChartTests {
    @Test func roofsAndPointsAreDrawn() throws {
        let chart = RooflineChart(
            ChartTests.hostile, bandwidth: 20e9,
            ceilings: [.init("f32", operationsPerSecond: 200e9), .init("int8", operationsPerSecond: 800e9)],
            points: [
                .init("q4_0 <decode>", intensity: 3.5, operationsPerSecond: 60e9),
                .init("q4_0 prefill", intensity: 900, operationsPerSecond: 300e9),
                .init("nothing", intensity: 0, operationsPerSecond: .nan),
            ])
        let elements = try XMLChecker.elements(of: chart.svg)
        #expect(elements.count { $0.name == "circle" } == 2)
        // The slope and two levels.
        #expect(elements.count { $0.name == "polyline" } == 3)
        let texts = elements.filter { $0.name == "text" }.map(\.text)
        #expect(texts.contains("memory 20.0 GB/s") && texts.contains("int8 800 G/s"))
        #expect(texts.contains("operations a byte · logarithmic"))
        #expect(RooflineChart("none", bandwidth: 0, ceilings: [], points: []).svg.contains("No figures"))
    }
}
