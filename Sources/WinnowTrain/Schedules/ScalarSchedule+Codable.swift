/// A schedule in a recipe: a number, or keys under a `kind`.
///
/// ```yaml
/// learning_rate: { kind: warmup, steps: 100, then: { kind: cosine, from: 3e-4, to: 3e-5 } }
/// sparsity: { kind: cubic, from: 0, to: 0.9, begin: 200, end: 1200 }
/// ```
extension ScalarSchedule: Codable {
    /// The words under `kind`, each with the keys it knows.
    static let kinds: [(name: String, keys: [String])] = [
        ("constant", ["value"]),
        ("linear", ["from", "to", "begin", "end"]),
        ("cosine", ["from", "to", "begin", "end"]),
        ("polynomial", ["from", "to", "begin", "end", "power"]),
        ("cubic", ["from", "to", "begin", "end"]),
        ("warmup", ["steps", "then"]),
        ("stable_decay", ["from", "to", "decay", "curve", "power"]),
        ("piecewise", ["pieces"]),
        ("cyclic", ["from", "to", "period", "wave"]),
    ]

    public init(from decoder: any Decoder) throws {
        if let number = try? decoder.singleValueContainer().decode(Double.self) {
            self = try .constant(Self.finite(number, "constant"))
            return
        }
        let keys = try decoder.container(keyedBy: RecipeKey.self)
        let kind = try keys.decode(String.self, forKey: "kind")
        guard let known = Self.kinds.first(where: { $0.name == kind }) else {
            throw ScheduleError.unknownKind(kind, known: Self.kinds.map(\.name))
        }
        for key in keys.allKeys where key.stringValue != "kind" && !known.keys.contains(key.stringValue) {
            throw ScheduleError.unknownKey(kind: kind, key: key.stringValue, known: known.keys)
        }
        func number(_ key: RecipeKey) throws -> Double {
            try Self.finite(keys.decode(Double.self, forKey: key), key.stringValue)
        }
        func steps(_ key: RecipeKey, least: Int, or missing: Int? = nil) throws -> Int {
            let value =
                try missing.map { try keys.decodeIfPresent(Int.self, forKey: key) ?? $0 }
                ?? keys.decode(Int.self, forKey: key)
            guard value >= least else {
                throw ScheduleError.badValue(
                    key: key.stringValue, value: "\(value)", expected: "\(least) or more")
            }
            return value
        }
        func power() throws -> Double {
            let value = try number("power")
            guard value > 0 else {
                throw ScheduleError.badValue(key: "power", value: "\(value)", expected: "more than 0")
            }
            return value
        }
        func curve(_ curve: Curve) throws -> ScalarSchedule {
            let begin = try steps("begin", least: 0, or: 0)
            let end = try keys.decodeIfPresent(Int.self, forKey: "end")
            if let end, end <= begin {
                throw ScheduleError.badValue(
                    key: "end", value: "\(end)", expected: "a step after begin, \(begin)")
            }
            return .curve(curve, from: try number("from"), to: try number("to"), begin: begin, end: end)
        }
        switch kind {
        case "constant": self = .constant(try number("value"))
        case "linear": self = try curve(.linear)
        case "cosine": self = try curve(.cosine)
        case "polynomial": self = try curve(.polynomial(power: power()))
        case "cubic": self = try curve(.polynomial(power: 3))
        case "warmup":
            self = .warmup(
                steps: try steps("steps", least: 0), then: try keys.decode(Self.self, forKey: "then"))
        case "stable_decay":
            let name = try keys.decodeIfPresent(String.self, forKey: "curve") ?? "linear"
            let curve: Curve
            switch name {
            case "linear": curve = .linear
            case "cosine": curve = .cosine
            case "polynomial": curve = .polynomial(power: try power())
            default:
                throw ScheduleError.badValue(
                    key: "curve", value: name, expected: "linear, cosine or polynomial")
            }
            self = .stableDecay(
                from: try number("from"), to: try number("to"), decay: try steps("decay", least: 1),
                curve: curve)
        case "piecewise":
            let pieces = try keys.decode([Piece].self, forKey: "pieces")
            guard pieces.first?.begin == 0,
                zip(pieces, pieces.dropFirst()).allSatisfy({ $0.begin < $1.begin })
            else {
                throw ScheduleError.badValue(
                    key: "pieces", value: "begins \(pieces.map(\.begin))", expected: "rising steps from 0 on")
            }
            self = .piecewise(pieces)
        default:
            let wave = try keys.decodeIfPresent(String.self, forKey: "wave") ?? "triangle"
            guard let known = Wave(rawValue: wave) else {
                throw ScheduleError.badValue(
                    key: "wave", value: wave,
                    expected: "one of " + Wave.allCases.map(\.rawValue).joined(separator: ", "))
            }
            self = .cyclic(
                known, from: try number("from"), to: try number("to"), period: try steps("period", least: 1))
        }
    }

    private static func finite(_ value: Double, _ key: String) throws(ScheduleError) -> Double {
        guard value.isFinite else {
            throw .badValue(key: key, value: "\(value)", expected: "a finite number")
        }
        return value
    }

    public func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: RecipeKey.self)
        switch self {
        case .constant(let value):
            try keys.encode("constant", forKey: "kind")
            try keys.encode(value, forKey: "value")
        case .curve(let curve, let from, let to, let begin, let end):
            try keys.encode(curve.name, forKey: "kind")
            try keys.encode(from, forKey: "from")
            try keys.encode(to, forKey: "to")
            try keys.encode(begin, forKey: "begin")
            try keys.encodeIfPresent(end, forKey: "end")
            try keys.encodeIfPresent(curve.power, forKey: "power")
        case .warmup(let steps, let schedule):
            try keys.encode("warmup", forKey: "kind")
            try keys.encode(steps, forKey: "steps")
            try keys.encode(schedule, forKey: "then")
        case .stableDecay(let from, let to, let decay, let curve):
            try keys.encode("stable_decay", forKey: "kind")
            try keys.encode(from, forKey: "from")
            try keys.encode(to, forKey: "to")
            try keys.encode(decay, forKey: "decay")
            try keys.encode(curve.name, forKey: "curve")
            try keys.encodeIfPresent(curve.power, forKey: "power")
        case .piecewise(let pieces):
            try keys.encode("piecewise", forKey: "kind")
            try keys.encode(pieces, forKey: "pieces")
        case .cyclic(let wave, let from, let to, let period):
            try keys.encode("cyclic", forKey: "kind")
            try keys.encode(from, forKey: "from")
            try keys.encode(to, forKey: "to")
            try keys.encode(period, forKey: "period")
            try keys.encode(wave.rawValue, forKey: "wave")
        }
    }
}

extension ScalarSchedule.Curve {
    fileprivate var name: String {
        switch self {
        case .linear: "linear"
        case .cosine: "cosine"
        case .polynomial: "polynomial"
        }
    }

    fileprivate var power: Double? {
        guard case .polynomial(let power) = self else { return nil }
        return power
    }
}

extension ScalarSchedule.Piece: Codable {
    public init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: RecipeKey.self)
        for key in keys.allKeys where key.stringValue != "begin" && key.stringValue != "schedule" {
            throw ScheduleError.unknownKey(
                kind: "pieces", key: key.stringValue, known: ["begin", "schedule"])
        }
        self.init(
            begin: try keys.decode(Int.self, forKey: "begin"),
            schedule: try keys.decode(ScalarSchedule.self, forKey: "schedule"))
    }

    public func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: RecipeKey.self)
        try keys.encode(begin, forKey: "begin")
        try keys.encode(schedule, forKey: "schedule")
    }
}

/// Any key, so that unknown ones are seen.
struct RecipeKey: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
    init(stringLiteral value: String) { stringValue = value }
}

/// Why a recipe's schedule makes no sense.
public enum ScheduleError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownKind(String, known: [String])
    case unknownKey(kind: String, key: String, known: [String])
    case badValue(key: String, value: String, expected: String)

    public var description: String {
        switch self {
        case .unknownKind(let kind, let known):
            "no schedule '\(kind)'; there are \(known.joined(separator: ", "))"
        case .unknownKey(let kind, let key, let known):
            "no key '\(key)' in a \(kind) schedule; there are \(known.joined(separator: ", "))"
        case .badValue(let key, let value, let expected): "\(key) is \(value); expected \(expected)"
        }
    }
}
