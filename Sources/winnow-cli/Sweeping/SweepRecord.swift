import Glibc
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowReport

/// The folder of a sweep: what was found so far, written after every run, so that the next start goes on from there.
final class SweepRecord {
    struct Run {
        var name: String
        var method: String
        var settings: JSONObject
        /// Zeros of the prunable weights.
        var sparsity: Double
        var bitsPerWeight: Double
        var perplexity: Double
        var standardError: Double
        /// Rows that lost every weight, over all matrices.
        var emptyRows: Int
        var seconds: Double
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

    func add(_ run: Run) throws {
        runs.append(run)
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
            let settings = json["settings"]?.object, let sparsity = json["sparsity"]?.number,
            let bits = json["bitsPerWeight"]?.number, let perplexity = json["perplexity"]?.number,
            let error = json["standardError"]?.number, let empty = json["emptyRows"]?.number,
            let seconds = json["seconds"]?.number
        else { return nil }
        self.init(
            name: name, method: method, settings: settings, sparsity: sparsity, bitsPerWeight: bits,
            perplexity: perplexity, standardError: error, emptyRows: Int(empty), seconds: seconds)
    }

    var json: JSONValue {
        .object(
            JSONObject([
                ("name", .string(name)), ("method", .string(method)), ("settings", .object(settings)),
                ("sparsity", .number(sparsity)), ("bitsPerWeight", .number(bitsPerWeight)),
                ("perplexity", .number(perplexity)), ("standardError", .number(standardError)),
                ("emptyRows", .integer(Int64(emptyRows))), ("seconds", .number(seconds)),
            ]))
    }
}
