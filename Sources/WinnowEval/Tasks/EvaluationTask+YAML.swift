import WinnowJSON
import WinnowYAML

extension EvaluationTask {
    private static let known = [
        "task", "task_alias", "tag", "include", "dataset_path", "dataset_name", "dataset_kwargs",
        "output_type",
        "training_split", "validation_split", "test_split", "fewshot_split", "doc_to_text", "doc_to_target",
        "doc_to_choice", "description", "gen_prefix", "target_delimiter", "fewshot_delimiter",
        "fewshot_config",
        "num_fewshot",
        "metric_list", "filter_list", "generation_kwargs", "repeats", "metadata", "should_decontaminate",
        "doc_to_decontamination_query",
    ]

    /// Reads a task's file, and the ones it includes.
    ///
    /// - Parameter read: the bytes of a file.
    /// - Throws: ``YAMLError``, ``TaskError``, or what `read` throws.
    public init(reading file: String, read: (String) throws -> [UInt8]) throws {
        try self.init(EvaluationTask.document(file, read))
    }

    init(_ document: YAMLDocument) throws(TaskError) { try self.init(TaskNode(document)) }

    /// A file over what it includes: its own keys come first.
    static func document(
        _ file: String, _ read: (String) throws -> [UInt8], depth: Int = 0
    ) throws -> YAMLDocument {
        let document = try YAMLDocument(parsing: read(file), file: file)
        let node = TaskNode(document)
        guard let include = node["include"] else { return document }
        guard depth < 8 else { throw include.error("files that include each other") }
        let other = try self.document(
            TaskDocuments.path(try include.string(), beside: file), read, depth: depth + 1)
        var merged = other.value.object ?? JSONObject()
        for (key, value) in document.value.object?.pairs ?? [] where key != "include" { merged[key] = value }
        // The lines of the included file are lost: its own keys were not looked at by themselves.
        return try YAMLDocument(parsing: JSONValue.object(merged).yaml(), file: file)
    }

    private init(_ node: TaskNode) throws(TaskError) {
        for key in ["process_docs", "process_results", "custom_dataset", "use_prompt"]
        where node[key] != nil {
            throw TaskNode(node.document, node.path.appending(key), .null).error(
                "'\(key)' needs Python, or is not read here")
        }
        if let group = node["group"] { throw group.error("a group of tasks, where one task is expected") }
        try node.refuseOthers(than: EvaluationTask.known)
        func need(_ key: String) throws(TaskError) -> TaskNode {
            guard let found = node[key] else { throw node.error("expected '\(key)'") }
            return found
        }
        func field(_ node: TaskNode?) -> Field? {
            node.map { $0.value.string.map(Field.template) ?? .constant($0.value) }
        }
        file = node.document.file
        name = try need("task").string()
        alias = try node["task_alias"]?.string() ?? name
        let path = try need("dataset_path")
        guard try path.string() == "json" else {
            throw path.error("'json' is read: documents in local files, under dataset_kwargs.data_files")
        }
        if let kind = node["output_type"] {
            guard let output = Output(rawValue: try kind.string()) else {
                throw kind.error(
                    "there is no such output; there are \(Output.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            self.output = output
        }
        text = field(node["doc_to_text"]) ?? .constant("")
        guard let target = field(try need("doc_to_target")) else {
            throw node.error("expected 'doc_to_target'")
        }
        self.target = target
        choices = field(node["doc_to_choice"])
        if output == .multipleChoice, choices == nil {
            throw node.error("multiple_choice needs 'doc_to_choice'")
        }
        description = try node["description"]?.string()
        prefix = try EvaluationTask.prefix(node)
        if let delimiter = node["target_delimiter"] { targetDelimiter = try delimiter.string() }
        if let delimiter = node["fewshot_delimiter"] { exampleDelimiter = try delimiter.string() }
        if let count = node["num_fewshot"] {
            exampleCount = try count.integer(atLeast: 0)
            takesNoExamples = exampleCount == 0
        }
        if let repeats = node["repeats"], try repeats.integer(atLeast: 1) != 1 {
            throw repeats.error("one answer a document is made, not several")
        }
        trainingSplit = try node["training_split"]?.string()
        validationSplit = try node["validation_split"]?.string()
        testSplit = try node["test_split"]?.string()
        examples.split = try node["fewshot_split"]?.string()
        try readFiles(node)
        if let examples = node["fewshot_config"] { try readExamples(examples, field) }
        metrics =
            try node["metric_list"].map { list throws(TaskError) in try metricList(list) }
            ?? output.defaultMetrics
        if let list = node["filter_list"] { filters = try EvaluationTask.pipelines(list) }
        if output == .generateUntil {
            until = [exampleDelimiter]
            if let generation = node["generation_kwargs"] { try readGeneration(generation) }
        }
    }

    private static func prefix(_ node: TaskNode) throws(TaskError) -> Field? {
        try node["gen_prefix"].map { prefix throws(TaskError) in .template(try prefix.string()) }
    }

    private mutating func readFiles(_ node: TaskNode) throws(TaskError) {
        guard let files = node["dataset_kwargs"]?["data_files"] else {
            throw node.error("expected dataset_kwargs.data_files")
        }
        if files.value.object == nil {
            dataFiles["train"] = try files.strings()
        } else {
            for split in try files.keys() { dataFiles[split] = try files[split]!.strings() }
        }
        for key in ["training_split", "validation_split", "test_split", "fewshot_split"] {
            guard let split = node[key], dataFiles[try split.string()] == nil else { continue }
            throw split.error(
                "no such split; data_files has \(dataFiles.keys.sorted().joined(separator: ", "))")
        }
        guard testSplit ?? validationSplit != nil else {
            throw node.error("expected 'test_split' or 'validation_split'")
        }
    }

    private mutating func readExamples(
        _ node: TaskNode, _ field: (TaskNode?) -> Field?
    ) throws(TaskError) {
        try node.refuseOthers(than: [
            "sampler", "split", "samples", "fewshot_indices", "doc_to_text", "doc_to_target", "doc_to_choice",
            "gen_prefix", "target_delimiter", "fewshot_delimiter",
        ])
        examples.prefix = try EvaluationTask.prefix(node)
        if let sampler = node["sampler"] {
            guard let known = Sampler(rawValue: try sampler.string()) else {
                throw sampler.error("there is no such sampler; there are default, first_n")
            }
            examples.sampler = known
        }
        if let split = node["split"] { examples.split = try split.string() }
        if let samples = node["samples"] {
            examples.samples = try samples.elements().map { sample throws(TaskError) in
                guard let object = sample.value.object else { throw sample.error("expected a document") }
                return object
            }
        }
        if let indices = node["fewshot_indices"] {
            examples.indices = try indices.elements().map { index throws(TaskError) in
                try index.integer(atLeast: 0)
            }
        }
        examples.text = field(node["doc_to_text"])
        examples.target = field(node["doc_to_target"])
        examples.choices = field(node["doc_to_choice"])
        examples.targetDelimiter = try node["target_delimiter"]?.string()
        examples.delimiter = try node["fewshot_delimiter"]?.string()
    }

    private func metricList(_ list: TaskNode) throws(TaskError) -> [TaskMetric] {
        try list.elements().map { node throws(TaskError) in
            try node.refuseOthers(than: [
                "metric", "aggregation", "higher_is_better", "hf_evaluate", "regexes_to_ignore",
                "ignore_case",
                "ignore_punctuation", "ignore_numbers",
            ])
            guard let name = node["metric"] else { throw node.error("expected 'metric'") }
            guard let kind = TaskMetric.Kind(rawValue: try name.string()), kind.belongs(to: output) else {
                let known = TaskMetric.Kind.allCases.filter { $0.belongs(to: output) }.map(\.rawValue)
                throw name.error(
                    "\(output.rawValue) has no such metric here; it has \(known.joined(separator: ", "))")
            }
            if let aggregation = node["aggregation"], try aggregation.string() != kind.aggregation {
                throw aggregation.error("\(kind.rawValue) is aggregated by \(kind.aggregation) here")
            }
            var metric = TaskMetric(kind)
            if let patterns = node["regexes_to_ignore"] {
                metric.ignoredPatterns = try patterns.strings()
                for pattern in metric.ignoredPatterns { try EvaluationTask.tryPattern(pattern, patterns) }
            }
            if let flag = node["ignore_case"] { metric.ignoresCase = try flag.bool() }
            if let flag = node["ignore_punctuation"] { metric.ignoresPunctuation = try flag.bool() }
            if let flag = node["ignore_numbers"] { metric.ignoresNumbers = try flag.bool() }
            return metric
        }
    }

    private static func pipelines(_ list: TaskNode) throws(TaskError) -> [TaskFilter.Pipeline] {
        try list.elements().map { node throws(TaskError) in
            try node.refuseOthers(than: ["name", "filter"])
            guard let name = node["name"], let steps = node["filter"] else {
                throw node.error("expected 'name' and 'filter'")
            }
            let filters = try steps.elements().map { step throws(TaskError) -> TaskFilter in
                guard let function = step["function"] else { throw step.error("expected 'function'") }
                switch try function.string() {
                case "regex":
                    try step.refuseOthers(than: ["function", "regex_pattern", "group_select", "fallback"])
                    let pattern = try step["regex_pattern"]?.string() ?? #"#### (\-?[0-9\.\,]+)"#
                    try tryPattern(pattern, step["regex_pattern"] ?? step)
                    return .regex(
                        pattern: pattern, group: try step["group_select"]?.integer(atLeast: -1_000) ?? 0,
                        fallback: try step["fallback"]?.string() ?? "[invalid]")
                case "remove_whitespace": return .removeWhitespace
                case "lowercase": return .lowercase
                case "uppercase": return .uppercase
                case "take_first": return .takeFirst
                default:
                    throw function.error(
                        "there is no such filter here; there are regex, remove_whitespace, lowercase, uppercase, take_first"
                    )
                }
            }
            return TaskFilter.Pipeline(name: try name.string(), filters: filters)
        }
    }

    private static func tryPattern(_ pattern: String, _ node: TaskNode) throws(TaskError) {
        do { _ = try Regex(pattern) } catch {
            throw node.error("'\(pattern)' is not a regular expression: \(error)")
        }
    }

    private mutating func readGeneration(_ node: TaskNode) throws(TaskError) {
        try node.refuseOthers(than: ["until", "max_gen_toks", "do_sample", "temperature", "top_p"])
        if let until = node["until"] { self.until = try until.strings() }
        if let most = node["max_gen_toks"] { maxGeneratedTokens = try most.integer(atLeast: 1) }
        if let sampled = node["do_sample"], try sampled.bool() {
            throw sampled.error("answers are greedy here")
        }
        if let temperature = node["temperature"], temperature.value.number != 0, node["do_sample"] == nil {
            throw temperature.error("answers are greedy here: 0")
        }
    }
}

extension TaskMetric.Kind {
    var aggregation: String {
        switch self {
        case .perplexity: "perplexity"
        case .wordPerplexity, .bytePerplexity: "weighted_perplexity"
        case .bitsPerByte: "bits_per_byte"
        default: "mean"
        }
    }

    public var isHigherBetter: Bool { aggregation == "mean" }
}
