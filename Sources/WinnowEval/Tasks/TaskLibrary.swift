import WinnowJSON
import WinnowYAML

/// Reads tasks and groups from files; a group's members are looked up by name among all files below the group's folder.
///
/// - Source: lm-evaluation-harness 0.4, tasks/_index.py and tasks/_factory.py.
public struct TaskLibrary {
    private enum Entry {
        case task(YAMLDocument)
        case group(YAMLDocument)
        /// Names of the tasks that carry it.
        case tag([String])
    }

    private static let ofGroup = ["group", "group_alias", "task", "aggregate_metric_list", "metadata"]
    private static let deepest = 8

    private let read: (String) throws -> [UInt8]
    private let list: (String) throws -> [String]
    private var folder: String?
    private var entries: [String: Entry] = [:]
    /// Files that are not read: why.
    private var damaged: [String] = []

    /// - Parameter read: the bytes of a file.
    /// - Parameter list: the paths of all files below a folder, as `read` takes them.
    public init(read: @escaping (String) throws -> [UInt8], list: @escaping (String) throws -> [String]) {
        self.read = read
        self.list = list
    }

    /// The task or group of a file.
    ///
    /// - Throws: ``YAMLError``, ``TaskError``, what `read` and `list` throw.
    public mutating func item(_ file: String) throws -> EvaluationItem {
        let document = try EvaluationTask.document(file, read)
        guard document.value["group"] != nil else { return .task(try EvaluationTask(document)) }
        try index(file.lastIndex(of: "/").map { String(file[..<$0]) } ?? ".")
        return .group(try group(document, named: nil, over: JSONObject(), depth: 0))
    }

    private mutating func index(_ folder: String) throws {
        guard self.folder != folder else { return }
        self.folder = folder
        entries = [:]
        damaged = []
        for file in try list(folder).sorted() where file.hasSuffix(".yaml") {
            do {
                let document = try EvaluationTask.document(file, read)
                let isGroup = document.value["group"] != nil
                guard let name = document.value[isGroup ? "group" : "task"]?.string else { continue }
                guard entries[name] == nil else { continue }
                entries[name] = isGroup ? .group(document) : .task(document)
                guard !isGroup, let tags = document.value["tag"] else { continue }
                for tag in tags.array?.compactMap(\.string) ?? [tags.string ?? ""] where !tag.isEmpty {
                    if case .tag(let names) = entries[tag] ?? .tag([]) { entries[tag] = .tag(names + [name]) }
                }
            } catch {
                // Other files of the folder need not be tasks; one that is asked for is named below.
                damaged.append("\(error)")
            }
        }
    }

    /// - Parameter name: of a group that stands within another.
    /// - Parameter over: keys of the groups around it, for every task in it.
    private func group(
        _ document: YAMLDocument, named name: String?, over: JSONObject, depth: Int
    ) throws -> EvaluationGroup {
        let node = TaskNode(document)
        guard depth < TaskLibrary.deepest else { throw node.error("groups that hold each other") }
        guard let list = node["task"] else { throw node.error("expected 'task': the members of the group") }
        let own = try name ?? node["group"]!.string()
        var shared = JSONObject()
        for (key, value) in document.value.object?.pairs ?? []
        where !TaskLibrary.ofGroup.contains(key) && key != "tag" { shared[key] = value }
        for (key, value) in over.pairs { shared[key] = value }
        let members = try list.elements().flatMap { try self.members($0, of: own, shared, depth) }
        let group = EvaluationGroup(
            name: own, alias: try node["group_alias"]?.string() ?? own, members: members,
            aggregates: try node["aggregate_metric_list"].map(TaskLibrary.aggregates) ?? [])
        for aggregate in group.aggregates
        where !group.tasks.contains(where: { $0.metrics.contains { $0.kind == aggregate.metric } }) {
            throw node["aggregate_metric_list"]!.error(
                "no task of '\(own)' has the metric \(aggregate.metric.rawValue)")
        }
        return group
    }

    private func members(
        _ node: TaskNode, of group: String, _ shared: JSONObject, _ depth: Int
    ) throws -> [EvaluationItem] {
        if let name = node.value.string { return try named(name, node, shared, depth, own: nil, of: group) }
        guard node.value.object != nil else { throw node.error("expected a name, or a mapping") }
        if let inner = node["group"] {
            let name = try inner.string()
            guard case .group(let document)? = entries[name] else {
                let document = try YAMLDocument(parsing: node.value.yaml(), file: node.document.file)
                return [
                    .group(
                        try self.group(document, named: "\(group)::\(name)", over: shared, depth: depth + 1))
                ]
            }
            var keys = shared
            for (key, value) in node.value.object?.pairs ?? [] where key != "group" {
                guard !TaskLibrary.ofGroup.contains(key) else {
                    throw node[key]?.error("'\(name)' is a group of its own file, which says this")
                        ?? node.error(key)
                }
                keys[key] = value
            }
            return [.group(try self.group(document, named: nil, over: keys, depth: depth + 1))]
        }
        guard let name = node["task"] else { throw node.error("expected 'task' or 'group'") }
        return try named(try name.string(), node, shared, depth, own: node.value.object, of: group)
    }

    /// - Parameter own: keys that the group's list has for this member.
    private func named(
        _ name: String, _ node: TaskNode, _ shared: JSONObject, _ depth: Int, own: JSONObject?,
        of group: String
    ) throws -> [EvaluationItem] {
        var keys = shared
        for (key, value) in own?.pairs ?? [] where key != "task" { keys[key] = value }
        switch entries[name] {
        case .task(let document)?: return [.task(try task(document, keys))]
        case .tag(let names)?:
            return try names.sorted().flatMap {
                try named($0, node, keys, depth, own: nil, of: group)
            }
        case .group(let document)?:
            return [.group(try self.group(document, named: nil, over: keys, depth: depth + 1))]
        case nil:
            // A task that stands in the list itself.
            guard own?["dataset_path"] != nil || shared["dataset_path"] != nil else {
                let reasons = damaged.isEmpty ? "" : "; not read: " + damaged.joined(separator: "; ")
                throw node.error(
                    "no task, group or tag '\(name)' in the files below '\(folder ?? "")'\(reasons)")
            }
            keys["task"] = .string("\(group)::\(name)")
            return [
                .task(
                    try EvaluationTask(
                        YAMLDocument(parsing: JSONValue.object(keys).yaml(), file: node.document.file)))
            ]
        }
    }

    /// A task's file under keys from outside, which come first.
    private func task(_ document: YAMLDocument, _ keys: JSONObject) throws -> EvaluationTask {
        guard keys.count > 0 else { return try EvaluationTask(document) }
        var merged = document.value.object ?? JSONObject()
        for (key, value) in keys.pairs { merged[key] = value }
        return try EvaluationTask(YAMLDocument(parsing: JSONValue.object(merged).yaml(), file: document.file))
    }

    private static func aggregates(_ node: TaskNode) throws -> [EvaluationGroup.Aggregate] {
        let rows = node.value.array == nil ? [node] : try node.elements()
        return try rows.map { row in
            try row.refuseOthers(than: ["metric", "filter_list", "aggregation", "weight_by_size"])
            guard let metric = row["metric"] else { throw row.error("expected 'metric'") }
            guard let kind = TaskMetric.Kind(rawValue: try metric.string()) else {
                throw metric.error(
                    "there is no such metric; there are "
                        + TaskMetric.Kind.allCases.map(\.rawValue).joined(separator: ", "))
            }
            if let aggregation = row["aggregation"], try aggregation.string() != "mean" {
                throw aggregation.error("groups are aggregated by mean")
            }
            return EvaluationGroup.Aggregate(
                metric: kind, filters: try row["filter_list"]?.strings(),
                weighsBySize: try row["weight_by_size"]?.bool() ?? true)
        }
    }
}
