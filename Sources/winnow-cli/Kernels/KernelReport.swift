import WinnowCore
import WinnowJSON
import WinnowReport
import WinnowWeights

/// What `bench --kernels` found, as text, JSON and a page.
struct KernelReport {
    let benchmark: KernelBenchmark
    let result: KernelBenchmark.Result
    let threads: Int

    var json: JSONValue {
        [
            "threads": .integer(Int64(threads)), "activations": .string(benchmark.activations.rawValue),
            "repetitions": .integer(Int64(benchmark.repetitions)), "sparsity": .number(benchmark.sparsity),
            "workingSetBytes": .integer(Int64(benchmark.workingSet)),
            "bandwidth": .number(result.bandwidth),
            "peaks": .array(
                result.peaks.map {
                    [
                        "isa": .string($0.set.rawValue), "arithmetic": .string($0.arithmetic.rawValue),
                        "operationsPerSecond": .number($0.operationsPerSecond),
                    ]
                }),
            "kernels": .array(result.rows.map(json)),
        ]
    }

    private func json(_ row: KernelBenchmark.Row) -> JSONValue {
        [
            "format": .string(row.format.name),
            "shape": [.integer(Int64(row.shape.rows)), .integer(Int64(row.shape.columns))],
            "rows": .integer(Int64(row.tokens)), "isa": .string(row.instructionSet.rawValue),
            "seconds": .number(row.seconds), "bytes": .number(row.cost.bytes),
            "operations": .number(row.cost.operations), "arithmetic": .string(row.cost.arithmetic.rawValue),
            "bitsPerWeight": .number(row.bitsPerWeight), "bandwidth": .number(row.roofline.bandwidth),
            "peak": .number(row.roofline.peak), "memoryShare": .number(row.standing.memoryShare),
            "arithmeticShare": .number(row.standing.arithmeticShare),
            "bound": .string(row.standing.bound.rawValue),
        ]
    }

    private func peak(_ set: InstructionSet, _ arithmetic: ArithmeticPeak) -> Double? {
        result.peaks.first { $0.set == set && $0.arithmetic == arithmetic }?.operationsPerSecond
    }

    private var roofs: Table {
        var table = Table(
            [.init("arithmetic roof")] + ArithmeticPeak.allCases.map { .figures("\($0.rawValue), G/s") })
        for set in benchmark.instructionSets {
            table.add(
                [set.rawValue]
                    + ArithmeticPeak.allCases.map {
                        peak(set, $0).map { Format.significant($0 / 1e9) } ?? "–"
                    })
        }
        return table
    }

    private var memory: String {
        let cache = Machine.largestCacheBytes.map { ", largest cache \(Format.bytes($0))" } ?? ""
        return
            "Memory roof \(Format.bandwidth(result.bandwidth)): reading \(Format.bytes(benchmark.workingSet)) in turn"
            + "\(cache); each product's weights stand there in as many copies."
    }

    private func tokens(_ count: Int) -> String { count == 1 ? "decode, 1 row" : "prefill, \(count) rows" }

    /// A row a format and shape, a column an instruction set: the share of the roof that limits it.
    private func table(_ count: Int) -> Table {
        var table = Table(
            [.init("format"), .init("shape"), .figures("bits")]
                + benchmark.instructionSets.flatMap { set -> [Table.Column] in
                    [
                        .figures("\(set.rawValue), ms"), .figures("G weights/s"), .figures("memory"),
                        .figures("arithmetic"),
                    ]
                })
        for shape in benchmark.shapes {
            for format in benchmark.formats {
                let rows = result.rows.filter {
                    $0.format == format && $0.shape == shape && $0.tokens == count
                }
                guard let first = rows.first else { continue }
                var cells = [format.name, shape.description, Format.fixed(first.bitsPerWeight, 2)]
                for set in benchmark.instructionSets {
                    guard let row = rows.first(where: { $0.instructionSet == set }) else {
                        cells += ["–", "–", "–", "–"]
                        continue
                    }
                    let weights = Double(shape.rows * shape.columns * count) / row.seconds / 1e9
                    cells += [
                        Format.significant(row.seconds * 1e3), Format.significant(weights),
                        Format.percent(row.standing.memoryShare, 0),
                        Format.percent(row.standing.arithmeticShare, 0),
                    ]
                }
                table.add(cells)
            }
        }
        return table
    }

    private var conditions: String {
        "\(threads) threads, activations \(benchmark.activations.rawValue), masks keep "
            + "\(Format.percent(1 - benchmark.sparsity, 0)), medians of \(benchmark.repetitions)"
    }

    var text: String {
        var text = memory + "\n\n" + roofs.text
        for count in benchmark.tokens {
            text += "\n\(tokens(count)): share of each roof\n" + table(count).text
        }
        return text + "\n" + conditions + "\n"
    }

    var page: Page {
        let charts: [any PageElement] = benchmark.instructionSets.compactMap { set in
            let points = result.rows.filter { $0.instructionSet == set }.map {
                RooflineChart.Point(
                    "\($0.format.name) \($0.shape), \(tokens($0.tokens))", intensity: $0.cost.intensity,
                    operationsPerSecond: $0.cost.operations / $0.seconds)
            }
            let ceilings = ArithmeticPeak.allCases.compactMap { arithmetic in
                peak(set, arithmetic).map {
                    RooflineChart.Ceiling(arithmetic.rawValue, operationsPerSecond: $0)
                }
            }
            return points.isEmpty
                ? nil
                : RooflineChart(set.rawValue, bandwidth: result.bandwidth, ceilings: ceilings, points: points)
        }
        return Page(
            "Kernels under their roofs", lead: memory,
            sections: [.init("Rooflines", isGrid: true, charts), .init("Roofs", [roofs])]
                + benchmark.tokens.map { .init("\(tokens($0)): time and share of each roof", [table($0)]) },
            conditions: [
                ("CPU", Machine.current.cpuModel ?? "unknown"), ("conditions", conditions),
                (
                    "operations",
                    "a multiplication and an addition are two; inputs of two int8 planes count twice"
                ),
                ("bytes", "weights as stored, inputs and outputs in float32, each once"),
            ], data: json)
    }
}
