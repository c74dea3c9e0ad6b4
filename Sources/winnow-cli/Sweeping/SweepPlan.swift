import WinnowCompress
import WinnowCore
import WinnowJSON
import WinnowRecipes
import WinnowWeights
import WinnowYAML

/// The runs of a sweep: methods or recipes with other values of some keys, for each seed, and rivals as they are.
struct SweepPlan {
    struct Run {
        let name: String
        /// What runs that differ in their seed alone share.
        let group: String
        let method: String
        let settings: JSONObject
        let seed: UInt64
        let making: Making

        enum Making {
            case recipe(Recipe)
            /// Another file of the same model.
            case file(String)
        }
    }

    private(set) var runs: [Run] = []
    private let seeds: [UInt64]

    /// - Parameter methods: names with commas between; their keys are varied.
    /// - Parameter recipes: files; paths into them are varied, `phases.0.sparsity`.
    /// - Parameter rivals: models that are only measured.
    /// - Parameter over: `key=v1,v2…`, each once.
    /// - Parameter base: what runs calibrate on.
    /// - Throws: ``ConfigurationError``, ``RecipeError``, `YAMLError` for what is not known, before any run.
    init(
        methods: String?, recipes: [String], rivals: [String], over: [String], seeds: [UInt64],
        store: StoredForm, calibration: Recipe.Calibration
    ) throws {
        self.seeds = seeds
        let choices = try SweepPlan.choices(over)
        for name in methods?.split(separator: ",").map(String.init) ?? [] {
            let entry = try MethodRegistry.standard.entry(name)
            guard entry.purpose == .pruning else {
                throw ConfigurationError.unknownMethod(
                    name: name, known: MethodRegistry.standard.names(.pruning))
            }
            for choice in choices {
                var recipe = Recipe()
                recipe.calibration = calibration
                recipe.phases = [.compress(CompressionPhase(try entry.make(choice), store: store))]
                add(name, choice, recipe)
            }
        }
        for path in recipes {
            let name = String((path.split(separator: "/").last ?? "").split(separator: ".").first ?? "recipe")
            let file = try Storage.mapping(path)
            let bytes = Array(UnsafeRawBufferPointer(start: file.base, count: file.byteCount))
            let document = try YAMLDocument(parsing: bytes, file: path)
            for choice in choices {
                var value = document.value
                for (key, setting) in choice.pairs {
                    guard value.set(setting, at: key.split(separator: ".")[...]) else {
                        throw ConfigurationError.badValue(
                            key: "over", value: key,
                            expected: "the path of a key in \(path), like phases.0.sparsity")
                    }
                }
                let text = choice.count == 0 ? bytes : Array(value.text().utf8)
                var recipe = try RecipeDecoder().decode(text, file: path)
                // The sweep's own text and windows make runs comparable.
                recipe.evaluation = nil
                add(name, choice, recipe)
            }
        }
        for path in rivals {
            let name = String(path.split(separator: "/").last ?? "rival")
            runs.append(
                Run(
                    name: name, group: name, method: "rival", settings: JSONObject([("file", .string(path))]),
                    seed: 0, making: .file(path)))
        }
    }

    private mutating func add(_ method: String, _ settings: JSONObject, _ recipe: Recipe) {
        let words = settings.pairs.map { pair -> String in
            let key = String(pair.key.split(separator: ".").last ?? "")
            return ["sparsity", "pattern", "scheme"].contains(key)
                ? pair.value.word : "\(key) \(pair.value.word)"
        }
        let group = ([method] + words).joined(separator: " ")
        guard !runs.contains(where: { $0.group == group }) else { return }
        // What looks at no text is the same for all of them.
        for seed in recipe.dependsOnSeed ? seeds : Array(seeds.prefix(1)) {
            var own = recipe
            own.seed = seed
            runs.append(
                Run(
                    name: seeds.count > 1 && recipe.dependsOnSeed ? "\(group), seed \(seed)" : group,
                    group: group, method: method,
                    settings: settings, seed: seed, making: .recipe(own)))
        }
    }

    /// All ways to choose one value of each key; without keys, one way.
    private static func choices(_ over: [String]) throws(ConfigurationError) -> [JSONObject] {
        var choices: [[(String, JSONValue)]] = [[]]
        var keys: [String] = []
        for text in over {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(parts[0]).split(separator: "-").joined(separator: "_")
            guard parts.count == 2, !parts[1].isEmpty, !keys.contains(key) else {
                throw ConfigurationError.badValue(
                    key: "over", value: text, expected: "KEY=V1,V2…, each key once")
            }
            keys.append(key)
            let values = parts[1].split(separator: ",").map { PlainScalar.value(of: String($0)) }
            choices = choices.flatMap { before in values.map { before + [(key, $0)] } }
        }
        return choices.map { JSONObject($0) }
    }
}

extension JSONValue {
    /// As a name has it: text without quotes.
    fileprivate var word: String { string ?? text() }

    /// Sets what a path of keys and places leads to; the last key may be new.
    ///
    /// - Returns: whether the path leads anywhere.
    fileprivate mutating func set(_ new: JSONValue, at path: ArraySlice<Substring>) -> Bool {
        guard let step = path.first else {
            self = new
            return true
        }
        let rest = path.dropFirst()
        switch self {
        case .array(var elements):
            guard let place = Int(step), elements.indices.contains(place) else { return false }
            guard elements[place].set(new, at: rest) else { return false }
            self = .array(elements)
        case .object(var object):
            guard var child = object[String(step)] ?? (rest.isEmpty ? .null : nil) else { return false }
            guard child.set(new, at: rest) else { return false }
            object[String(step)] = child
            self = .object(object)
        default: return false
        }
        return true
    }
}
