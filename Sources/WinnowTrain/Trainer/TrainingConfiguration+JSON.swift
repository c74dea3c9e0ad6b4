import WinnowJSON

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension TrainingConfiguration {
    /// A recipe in JSON; what it leaves out has its default.
    ///
    /// - Throws: ``TrainingError``, ``OptimizerError``, ``ScheduleError``;
    ///   ``TrainingError/badRecipe(file:reason:)`` for a text that is no recipe.
    public init(json: [UInt8], file: String) throws {
        do {
            self = try JSONDecoder().decode(TrainingConfiguration.self, from: Data(json))
        } catch let error as DecodingError {
            throw TrainingError.badRecipe(file: file, reason: error.reason)
        }
        try validate()
    }

    /// Every setting, defaults written out.
    ///
    /// - Precondition: ``validate()`` does not throw.
    public var json: JSONObject {
        guard let encoded else { preconditionFailure("settings that were not validated: \(self)") }
        return encoded
    }

    /// nil where a number has no JSON: one that is not finite.
    var encoded: JSONObject? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard let data = try? encoder.encode(self) else { return nil }
        return try? JSONValue(parsing: Array(data)).object
    }

    /// What decides the run's bits: not how often it is looked at or saved.
    public var identity: JSONObject {
        var others: Set = ["evaluate_every", "checkpoint_every", "keep_checkpoints", "patience", "recompute"]
        // Checkpoints from before there was a choice say nothing of it.
        if compute == .float32 { others.insert("compute") }
        return JSONObject(
            json.pairs.filter { !others.contains($0.key) }.sorted { $0.key < $1.key }.map {
                ($0.key, $0.value)
            })
    }
}

extension DecodingError {
    fileprivate var reason: String {
        func at(_ context: Context) -> String {
            context.codingPath.isEmpty
                ? "" : " at " + context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch self {
        case .keyNotFound(let key, let context): return "'\(key.stringValue)' is missing\(at(context))"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            return "expected \(type)\(at(context))"
        case .dataCorrupted(let context): return "\(context.debugDescription)\(at(context))"
        @unknown default: return "\(self)"
        }
    }
}
