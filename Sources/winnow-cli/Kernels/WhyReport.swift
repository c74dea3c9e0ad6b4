import WinnowCore
import WinnowGenerate
import WinnowJSON
import WinnowModels
import WinnowReport

/// What `why` found, as text, JSON and a page.
struct WhyReport {
    let model: String
    let result: StepProfile.Result
    let profile: StepProfile
    let running: RunOptions
    let showsLayers: Bool

    /// Stages that a reader thinks of as one thing.
    enum Role: String, CaseIterable {
        case projections = "attention projections"
        case attention = "attention"
        case feedForward = "feed-forward"
        case head = "head"
        case inputs = "norms and inputs"
        case embedding = "embedding"

        var stages: [StepClock.Stage] {
            switch self {
            case .projections: [.queryKeyValue, .attentionOutput]
            case .attention: [.positions, .attention]
            case .feedForward: [.router, .gateUp, .down]
            case .head: [.head]
            case .inputs: [.inputs]
            case .embedding: [.embedding]
            }
        }
    }

    private var phases: [(name: String, phase: StepProfile.Phase)] {
        [("decode", result.decode), ("prefill", result.prefill)]
    }

    static func verdict(_ standing: Roofline.Standing) -> String {
        standing.bound == .overhead ? "neither: overhead" : standing.bound.rawValue
    }

    /// The last block, `-1` where there is none.
    private var blocks: Int { result.decode.parts.compactMap(\.block).max() ?? -1 }

    private func sum(_ phase: StepProfile.Phase, _ role: Role, block: Int? = nil) -> StepProfile.Sum {
        phase.sum { role.stages.contains($0.stage) && (block == nil || $0.block == block) }
    }

    // MARK: - JSON

    var json: JSONValue {
        var object = JSONObject([
            ("threads", .integer(Int64(running.threadCount))),
            ("isa", .string(InstructionSet.current.rawValue)),
            ("activations", .string(running.activations.rawValue)),
            ("bytesPerToken", .integer(Int64(result.bytesPerToken))),
        ])
        for (name, phase) in phases {
            object[name] = [
                "tokens": .integer(Int64(phase.tokens)), "seconds": .number(phase.seconds),
                "bandwidth": .number(phase.bandwidth), "f32Peak": .number(phase.f32Peak),
                "int8Peak": .number(phase.int8Peak),
                "roles": .object(
                    JSONObject(Role.allCases.map { ($0.rawValue, json(sum(phase, $0))) })),
            ]
        }
        let inside = Role.allCases.filter { $0 != .head && $0 != .embedding }
        object["layers"] = .array(
            blocks < 0
                ? []
                : (0...blocks).flatMap { block in
                    inside.map { role -> JSONValue in
                        [
                            "block": .integer(Int64(block)), "role": .string(role.rawValue),
                            "decode": json(sum(result.decode, role, block: block)),
                            "prefill": json(sum(result.prefill, role, block: block)),
                        ]
                    }
                })
        return .object(object)
    }

    private func json(_ sum: StepProfile.Sum) -> JSONValue {
        [
            "seconds": .number(sum.seconds), "bytes": .number(sum.cost.bytes),
            "operations": .number(sum.cost.operations), "memoryShare": .number(sum.standing.memoryShare),
            "arithmeticShare": .number(sum.standing.arithmeticShare),
            "bound": .string(sum.standing.bound.rawValue),
        ]
    }

    // MARK: - Text

    private static let columns: [Table.Column] = [
        .figures("time"), .figures("share"), .figures("bytes"), .figures("G operations"),
        .figures("of memory"),
        .figures("of arithmetic"), .init("bound by"),
    ]

    private func cells(_ sum: StepProfile.Sum, of phase: StepProfile.Phase) -> [String] {
        [
            Format.duration(sum.seconds), Format.percent(sum.seconds / phase.seconds),
            Format.bytes(Int(sum.cost.bytes)), Format.significant(sum.cost.operations / 1e9),
            Format.percent(sum.standing.memoryShare, 0), Format.percent(sum.standing.arithmeticShare, 0),
            WhyReport.verdict(sum.standing),
        ]
    }

    private func table(_ phase: StepProfile.Phase) -> Table {
        var table = Table([.init("part")] + WhyReport.columns)
        for role in Role.allCases {
            let sum = sum(phase, role)
            if sum.seconds > 0 { table.add([role.rawValue] + cells(sum, of: phase)) }
        }
        table.add(["a step"] + cells(phase.sum { _ in true }, of: phase), highlighted: true)
        return table
    }

    private func layerTable(_ phase: StepProfile.Phase) -> Table {
        var table = Table([.figures("block"), .init("part")] + WhyReport.columns)
        for block in 0..<blocks + 1 {
            for role in Role.allCases {
                let sum = sum(phase, role, block: block)
                if sum.seconds > 0 { table.add(["\(block)", role.rawValue] + cells(sum, of: phase)) }
            }
        }
        return table
    }

    private func title(_ name: String, _ phase: StepProfile.Phase) -> String {
        name == "decode"
            ? "decode, a token (mean of \(profile.generateTokens) from an empty context)"
            : "prefill, \(phase.tokens) tokens in one step"
    }

    private func roofs(_ phase: StepProfile.Phase) -> String {
        "roofs beside it: \(Format.bandwidth(phase.bandwidth)), "
            + "\(Format.significant(phase.f32Peak / 1e9)) G f32 and \(Format.significant(phase.int8Peak / 1e9)) G int8 "
            + "operations/s"
    }

    private var memory: String {
        let cache = Machine.largestCacheBytes ?? 0
        let place =
            cache == 0
            ? ""
            : result.bytesPerToken <= cache
                ? "; they fit its largest cache (\(Format.bytes(cache))), which may be shared and slower than that sounds"
                : "; more than its largest cache (\(Format.bytes(cache)))"
        return "Memory is what this machine delivers when it reads as many bytes as a token's weights, "
            + "\(Format.bytes(result.bytesPerToken)), again and again\(place)."
    }

    private var conditions: String {
        "\(running.threadCount) threads, \(InstructionSet.current.rawValue), activations "
            + "\(running.activations.rawValue), medians of \(profile.repeats)"
    }

    var text: String {
        var text = ""
        for (name, phase) in phases {
            text += title(name, phase) + "\n" + table(phase).text + roofs(phase) + "\n\n"
            if showsLayers { text += layerTable(phase).text + "\n" }
        }
        return text + memory + "\n" + conditions + "\n"
    }

    // MARK: - Page

    private var lead: String {
        phases.map { name, phase in
            let parts = Role.allCases.map { ($0, sum(phase, $0)) }
            let largest = parts.max { $0.1.seconds < $1.1.seconds }
            guard let (role, sum) = largest else { return "" }
            return
                "In \(name), \(role.rawValue) takes most: \(Format.percent(sum.seconds / phase.seconds, 0)) of "
                + "\(Format.duration(phase.seconds)), bound by \(WhyReport.verdict(sum.standing))."
        }.joined(separator: " ")
    }

    private func chart(_ name: String, _ phase: StepProfile.Phase) -> any PageElement {
        let points = Role.allCases.compactMap { role -> RooflineChart.Point? in
            let sum = sum(phase, role)
            guard sum.seconds > 0, sum.cost.bytes > 0 else { return nil }
            return RooflineChart.Point(
                role.rawValue, intensity: sum.cost.operations / sum.cost.bytes,
                operationsPerSecond: sum.cost.operations / sum.seconds)
        }
        return RooflineChart(
            "\(name) under its roofs", bandwidth: phase.bandwidth,
            ceilings: [
                .init("f32", operationsPerSecond: phase.f32Peak),
                .init("int8", operationsPerSecond: phase.int8Peak),
            ], points: points)
    }

    private func lines(_ name: String, _ phase: StepProfile.Phase) -> any PageElement {
        LineChart(
            "\(name): time of each block", x: "block", y: "µs",
            lines: Role.allCases.compactMap { role in
                let points = (0..<blocks + 1).map {
                    LineChart.Point(Double($0), sum(phase, role, block: $0).seconds * 1e6)
                }
                return points.contains { $0.y > 0 } ? .init(role.rawValue, points) : nil
            })
    }

    var page: Page {
        Page(
            "What bounds \(model)", lead: lead,
            sections: [
                .init("Roofs", isGrid: true, phases.map { chart($0.name, $0.phase) }),
                .init("Blocks", isGrid: true, phases.map { lines($0.name, $0.phase) }),
            ]
                + phases.flatMap { name, phase in
                    [
                        Page.Section(title(name, phase), [table(phase), Paragraph(roofs(phase))]),
                        Page.Section("\(name), block by block", [layerTable(phase)]),
                    ]
                },
            conditions: [
                ("CPU", Machine.current.cpuModel ?? "unknown"), ("conditions", conditions),
                ("memory", memory),
                (
                    "operations",
                    "a multiplication and an addition are two; inputs of two int8 planes count twice"
                ),
                ("bytes", "weights as stored, cached keys and values, activations in float32, each once"),
            ], data: json)
    }
}
