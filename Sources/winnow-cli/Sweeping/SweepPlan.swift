import WinnowCompress
import WinnowJSON

/// The runs that `--method` and `--over` ask for.
struct SweepPlan {
    struct Run {
        let name: String
        let method: String
        let settings: JSONObject

        func makeMethod() throws -> any LayerMethod {
            try MethodRegistry.standard.entry(method).make(settings)
        }
    }

    let runs: [Run]

    /// - Parameter methods: names with commas between.
    /// - Parameter over: `key=v1,v2…`, each once.
    /// - Throws: ``ConfigurationError`` for what a method does not know, before any run.
    init(methods: String, over: [String]) throws {
        var choices: [[(key: String, value: JSONValue)]] = [[]]
        var keys: [String] = []
        for text in over {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(parts[0]).split(separator: "-").joined(separator: "_")
            guard parts.count == 2, !parts[1].isEmpty, !keys.contains(key) else {
                throw ConfigurationError.badValue(
                    key: "over", value: text, expected: "KEY=V1,V2…, each key once")
            }
            keys.append(key)
            let values = parts[1].split(separator: ",").map { SweepPlan.value(String($0)) }
            choices = choices.flatMap { before in values.map { before + [(key, $0)] } }
        }
        var runs: [Run] = []
        for method in methods.split(separator: ",").map(String.init) {
            let entry = try MethodRegistry.standard.entry(method)
            guard entry.purpose == .pruning else {
                throw ConfigurationError.unknownMethod(
                    name: method, known: MethodRegistry.standard.names(.pruning))
            }
            for choice in choices {
                let settings = JSONObject(choice.map { ($0.key, $0.value) })
                _ = try entry.make(settings)
                let words = choice.map {
                    $0.key == "sparsity" || $0.key == "pattern" ? $0.value.word : "\($0.key) \($0.value.word)"
                }
                let name = ([method] + words).joined(separator: " ")
                guard !runs.contains(where: { $0.name == name }) else { continue }
                runs.append(Run(name: name, method: method, settings: settings))
            }
        }
        self.runs = runs
    }

    private static func value(_ text: String) -> JSONValue {
        switch text {
        case "true": true
        case "false": false
        default: Int64(text).map { .integer($0) } ?? Double(text).map { .number($0) } ?? .string(text)
        }
    }
}

extension JSONValue {
    /// As a name has it: text without quotes.
    fileprivate var word: String { string ?? text() }
}
