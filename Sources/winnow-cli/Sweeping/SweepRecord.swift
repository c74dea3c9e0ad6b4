import Glibc
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport

/// The folder of a sweep: what was found so far, written after every run, so that the next start goes on from there.
final class SweepRecord {
    struct Run {
        var name: String
        /// What runs that differ in their seed alone share.
        var group: String
        /// A method, a recipe's name, "rival", or "" for the model as given.
        var method: String
        var settings: JSONObject
        /// Whether zeros are by a mask's choice; weights that a coarse grid rounds to zero are not.
        var isPruned: Bool
        /// Zeros of the prunable weights.
        var sparsity: Double
        var bitsPerWeight: Double
        /// Of the whole model in memory.
        var bytes: Int
        var perplexity: Double
        var standardError: Double
        /// Over that of the model as given, measured in turns with it; nil where speed was not asked for.
        var decodeRatio: Double?
        var decodeTokensPerSecond: Double?
        /// For each block: how far its matrices are from those given, ‖W' - W‖ / ‖W‖ over all of them.
        var blockErrors: [Double] = []
        /// What it writes when asked to go on from the prompt.
        var sample: String?
        /// Rows that lost every weight, over all matrices.
        var emptyRows: Int
        var seconds: Double

        var isGiven: Bool { method.isEmpty }
    }

    let folder: String
    let conditions: JSONObject
    private(set) var runs: [Run] = []

    /// - Throws: `CheckpointError.outputExists` for a folder that is not a sweep under these conditions.
    init(_ folder: String, conditions: JSONObject, overwrite: Bool) throws {
        self.folder = folder
        self.conditions = conditions
        let path = folder + "/sweep.json"
        guard access(folder, F_OK) == 0 else {
            try FileTree.makeDirectories(folder)
            return
        }
        let found = access(path, F_OK) == 0 ? try Storage.mapping(path) : nil
        if overwrite {
            guard found != nil else { throw CheckpointError.notReplaceable(path: folder) }
            return
        }
        guard let found, let json = try? JSONValue(parsing: Array(StorageSlice(found).bytes)),
            json["conditions"]?.text(sortedKeys: true) == JSONValue.object(conditions).text(sortedKeys: true),
            let runs = json["runs"]?.array
        else { throw CheckpointError.outputExists(path: folder) }
        self.runs = runs.compactMap(Run.init)
    }

    subscript(name: String) -> Run? { runs.first { $0.name == name } }

    /// Adds a run, or puts it in place of the one of that name.
    func add(_ run: Run) throws {
        if let place = runs.firstIndex(where: { $0.name == run.name }) {
            runs[place] = run
        } else {
            runs.append(run)
        }
        try write("sweep.json", JSONValue.object(json).text(sortedKeys: true, indent: 2) + "\n")
    }

    func write(_ page: Page) throws {
        try write("sweep.json", page.json)
        try write("report.html", page.html)
    }

    var json: JSONObject {
        JSONObject([("conditions", .object(conditions)), ("runs", .array(runs.map(\.json)))])
    }

    /// Complete or not at all.
    private func write(_ name: String, _ text: String) throws {
        let place = try AtomicOutput(folder + "/" + name, .file, overwrite: true)
        try OutputFile.write(text, to: place.partialPath)
        try place.commit()
    }
}

extension SweepRecord.Run {
    init?(_ json: JSONValue) {
        guard let name = json["name"]?.string, let method = json["method"]?.string,
            let settings = json["settings"]?.object, let isPruned = json["isPruned"]?.bool,
            let sparsity = json["sparsity"]?.number,
            let bits = json["bitsPerWeight"]?.number, let bytes = json["bytes"]?.integer,
            let perplexity = json["perplexity"]?.number, let error = json["standardError"]?.number,
            let empty = json["emptyRows"]?.integer, let seconds = json["seconds"]?.number
        else { return nil }
        self.init(
            name: name, group: json["group"]?.string ?? name, method: method, settings: settings,
            isPruned: isPruned, sparsity: sparsity, bitsPerWeight: bits, bytes: bytes, perplexity: perplexity,
            standardError: error,
            decodeRatio: json["decodeRatio"]?.number,
            decodeTokensPerSecond: json["decodeTokensPerSecond"]?.number,
            blockErrors: json["blockErrors"]?.array?.map { $0.number ?? .nan } ?? [],
            sample: json["sample"]?.string, emptyRows: empty, seconds: seconds)
    }

    var json: JSONValue {
        var json = JSONObject([
            ("name", .string(name)), ("group", .string(group)), ("method", .string(method)),
            ("settings", .object(settings)), ("isPruned", .bool(isPruned)), ("sparsity", .number(sparsity)),
            ("bitsPerWeight", .number(bitsPerWeight)), ("bytes", .integer(Int64(bytes))),
            ("perplexity", .number(perplexity)), ("standardError", .number(standardError)),
            ("blockErrors", .array(blockErrors.map { .number($0) })),
            ("emptyRows", .integer(Int64(emptyRows))),
            ("seconds", .number(seconds)),
        ])
        if let decodeRatio { json["decodeRatio"] = .number(decodeRatio) }
        if let decodeTokensPerSecond { json["decodeTokensPerSecond"] = .number(decodeTokensPerSecond) }
        if let sample { json["sample"] = .string(sample) }
        return .object(json)
    }
}
