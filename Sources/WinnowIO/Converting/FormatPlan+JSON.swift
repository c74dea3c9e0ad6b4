import WinnowCore
import WinnowJSON
import WinnowWeights

extension FormatPlan {
    static let version: Int64 = 1

    public var json: JSONValue {
        [
            "version": .integer(FormatPlan.version), "architecture": .string(architecture),
            "fingerprint": .string(fingerprint),
            "maxWeightError": .number(conditions.maxWeightError), "isa": .string(conditions.instructionSet),
            "threads": .integer(Int64(conditions.threads)),
            "activations": .string(conditions.activations.rawValue), "choices": .array(choices.map(\.json)),
        ]
    }

    /// The plan in a file.
    ///
    /// - Throws: ``FormatPlanError``, or `FileError` when the file cannot be read.
    public init(reading file: String) throws {
        let storage = try Storage.mapping(file)
        let bytes = UnsafeRawBufferPointer(start: storage.base, count: min(storage.byteCount, 64 << 20))
        do {
            let value = try withExtendedLifetime(storage) {
                try JSONValue(parsing: bytes.assumingMemoryBound(to: UInt8.self))
            }
            try self.init(PlanReader(file: file, path: "", value: value))
        } catch let error as JSONError { throw FormatPlanError.badJSON(file: file, error: error) }
    }

    private init(_ plan: PlanReader) throws {
        let version = try plan["version"].integer()
        guard version == Int(FormatPlan.version) else {
            throw plan["version"].wrong("\(FormatPlan.version), the only version there is")
        }
        let mode = try plan["activations"].string()
        guard let activations = ActivationMode(rawValue: mode) else {
            throw plan["activations"].wrong("exact or fast")
        }
        let choices = try plan["choices"].array().map { try Choice($0) }
        var names = Set<String>()
        for (index, choice) in choices.enumerated() {
            for name in choice.names where !names.insert(name).inserted {
                throw FormatPlanError.wrongField(
                    file: plan.file, field: "choices[\(index)].layers", found: "'\(name)' a second time",
                    expected: "each layer once")
            }
        }
        self.init(
            architecture: try plan["architecture"].string(), fingerprint: try plan["fingerprint"].string(),
            conditions: Conditions(
                maxWeightError: try plan["maxWeightError"].number(),
                instructionSet: try plan["isa"].string(), threads: try plan["threads"].integer(),
                activations: activations),
            choices: choices)
    }
}

extension FormatPlan.Choice {
    public var json: JSONValue {
        [
            "shape": [.integer(Int64(rows)), .integer(Int64(columns))], "from": .string(source.name),
            "zeros": .number(zeros), "format": .string(format.name), "reason": .string(reason),
            "layers": .array(names.map { .string($0) }), "candidates": .array(candidates.map(\.json)),
        ]
    }

    fileprivate init(_ choice: PlanReader) throws {
        let shape = try choice["shape"].array()
        guard shape.count == 2 else { throw choice["shape"].wrong("outputs and inputs") }
        self.init(
            rows: try shape[0].integer(), columns: try shape[1].integer(),
            source: try choice["from"].format(),
            zeros: try choice["zeros"].number(), format: try choice["format"].format(),
            reason: try choice["reason"].string(),
            names: try choice["layers"].array().map { try $0.string() },
            candidates: try choice["candidates"].array().map { try FormatPlan.Candidate($0) })
    }
}

extension FormatPlan.Candidate {
    public var json: JSONValue {
        [
            "format": .string(format.name), "bytes": .integer(Int64(bytes)),
            "seconds": seconds.map { .number($0) } ?? .null, "error": error.map { .number($0) } ?? .null,
            "refusal": refusal.map { .string($0.rawValue) } ?? .null,
        ]
    }

    fileprivate init(_ candidate: PlanReader) throws {
        var refusal: FormatPlan.Refusal?
        if !candidate["refusal"].isNull {
            refusal = FormatPlan.Refusal(rawValue: try candidate["refusal"].string())
            guard refusal != nil else {
                throw candidate["refusal"].wrong(
                    FormatPlan.Refusal.allCases.map(\.rawValue).joined(separator: ", ") + " or null")
            }
        }
        self.init(
            format: try candidate["format"].format(), bytes: try candidate["bytes"].integer(),
            seconds: candidate["seconds"].isNull ? nil : try candidate["seconds"].number(),
            error: candidate["error"].isNull ? nil : try candidate["error"].number(), refusal: refusal)
    }
}

/// A value of a plan's file with its place, so that errors name it.
private struct PlanReader {
    let file: String
    let path: String
    let value: JSONValue?

    subscript(key: String) -> PlanReader {
        PlanReader(file: file, path: path.isEmpty ? key : "\(path).\(key)", value: value?[key])
    }

    var isNull: Bool { value?.isNull ?? false }

    func wrong(_ expected: String) -> FormatPlanError {
        let text = value.map { $0.text() } ?? "missing"
        return .wrongField(
            file: file, field: path, found: text.count > 60 ? "\(text.prefix(60))…" : text, expected: expected
        )
    }

    func string() throws -> String {
        guard let string = value?.string else { throw wrong("a string") }
        return string
    }

    func integer() throws -> Int {
        guard let integer = value?.integer, integer >= 0 else { throw wrong("a whole number") }
        return integer
    }

    func number() throws -> Double {
        guard let number = value?.number, number >= 0 else { throw wrong("a number, 0 or more") }
        return number
    }

    func array() throws -> [PlanReader] {
        guard let array = value?.array else { throw wrong("a list") }
        return array.enumerated().map {
            PlanReader(file: file, path: "\(path)[\($0.offset)]", value: $0.element)
        }
    }

    func format() throws -> WeightFormat {
        let name = try string()
        guard let format = WeightFormats.named(name) else {
            throw FormatPlanError.unknownFormat(file: file, format: name)
        }
        return format
    }
}
