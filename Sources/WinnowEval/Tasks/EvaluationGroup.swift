import WinnowJSON

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Tasks that are reported together, in groups of groups, with means over all of them.
///
/// - Source: lm-evaluation-harness 0.4, api/group.py and `aggregate_subtask_metrics` of api/metrics.py.
public struct EvaluationGroup: Sendable {
    /// A mean of a metric over the tasks that have it.
    public struct Aggregate: Sendable {
        public var metric: TaskMetric.Kind
        /// Pipelines of filters; nil: all that the tasks have.
        public var filters: [String]?
        /// Every document counts alike, else every task.
        public var weighsBySize = true
    }

    public var name: String
    public var alias: String
    public var members: [EvaluationItem]
    public var aggregates: [Aggregate]

    /// The tasks of the group and of the groups in it, in their order.
    public var tasks: [EvaluationTask] { members.flatMap(\.tasks) }
}

/// What a file of tasks holds.
public indirect enum EvaluationItem: Sendable {
    case task(EvaluationTask)
    case group(EvaluationGroup)

    public var name: String {
        switch self {
        case .task(let task): task.name
        case .group(let group): group.name
        }
    }

    public var tasks: [EvaluationTask] {
        switch self {
        case .task(let task): [task]
        case .group(let group): group.tasks
        }
    }

    /// The group and those in it, those in it first.
    public var groups: [EvaluationGroup] {
        guard case .group(let group) = self else { return [] }
        return group.members.flatMap(\.groups) + [group]
    }
}

extension EvaluationGroup {
    /// What a group came to.
    public struct Result: Sendable {
        public var group: EvaluationGroup
        public var figures: [TaskRun.Result.Figure]
        /// Documents of all its tasks.
        public var documents: Int
        /// Documents behind each figure.
        public var counts: [Int]
    }

    /// - Parameter results: what became of each task, by name.
    public func result(_ results: [String: TaskRun.Result]) -> Result {
        let found = tasks.compactMap { results[$0.name] }
        var result = Result(
            group: self, figures: [], documents: found.reduce(0) { $0 + $1.documents }, counts: [])
        for aggregate in aggregates {
            let filters =
                aggregate.filters
                ?? Set(
                    found.flatMap(\.figures).filter { $0.metric == aggregate.metric }.map(\.filter)
                ).sorted()
            for filter in filters {
                let rows = found.compactMap { task in
                    task.figures.first { $0.metric == aggregate.metric && $0.filter == filter }.map {
                        (figure: $0, size: Double(task.documents))
                    }
                }
                guard !rows.isEmpty else { continue }
                let weights = rows.map { aggregate.weighsBySize ? $0.size : 1 }
                let sum = zip(rows, weights).reduce(0) { $0 + $1.0.figure.value * $1.1 }
                result.figures.append(
                    .init(
                        metric: aggregate.metric, filter: filter, value: sum / weights.reduce(0, +),
                        standardError: EvaluationGroup.standardError(rows, bySize: aggregate.weighsBySize)))
                result.counts.append(Int(rows.reduce(0) { $0 + $1.size }))
            }
        }
        return result
    }

    /// By size: of all documents together, from the pooled variance. Else of a mean of independent means. nil where a task
    /// has none.
    private static func standardError(
        _ rows: [(figure: TaskRun.Result.Figure, size: Double)], bySize: Bool
    ) -> Double? {
        var squares = 0.0
        for row in rows {
            guard let error = row.figure.standardError else { return nil }
            squares += error * error * (bySize ? (row.size - 1) * row.size : 1)
        }
        guard bySize else { return squares.squareRoot() / Double(rows.count) }
        let documents = rows.reduce(0) { $0 + $1.size }
        return (squares / (documents - Double(rows.count)) / documents).squareRoot()
    }
}

extension EvaluationGroup.Result {
    /// The group's entry under the harness's `results`.
    public var json: JSONObject {
        var object = JSONObject([("alias", .string(group.alias))])
        guard !group.aggregates.isEmpty else { return object }
        object["sample_len"] = .integer(Int64(documents))
        var counted = JSONObject()
        for (figure, count) in zip(figures, counts) {
            figure.add(to: &object)
            counted["\(figure.metric.rawValue),\(figure.filter)"] = .integer(Int64(count))
        }
        if counted.count > 0 { object["sample_count"] = .object(counted) }
        return object
    }
}
