import Testing
import WinnowJSON
import WinnowModels
import WinnowText

@testable import WinnowEval

private let fixtures: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(2)
    return parts.joined(separator: "/") + "/Fixtures/tiny-llama"
}()

/// Files of a test, by name.
private struct Files {
    var files: [String: String]

    func item(_ name: String) throws -> EvaluationItem {
        var library = TaskLibrary(
            read: { path in
                guard let text = files[path] else {
                    throw TaskError(file: path, line: nil, path: "", reason: "not there")
                }
                return Array(text.utf8)
            },
            list: { folder in files.keys.filter { $0.hasPrefix(folder + "/") } })
        return try library.item(name)
    }
}

private func task(_ name: String, _ rest: String = "") -> String {
    """
    task: \(name)
    dataset_path: json
    dataset_kwargs: {data_files: {test: d.jsonl}}
    test_split: test
    output_type: multiple_choice
    doc_to_text: q
    doc_to_choice: c
    doc_to_target: a
    \(rest)
    """
}

private func result(_ task: String, _ value: Double, _ error: Double?, _ size: Int) -> TaskRun.Result {
    TaskRun.Result(
        task: task, alias: task,
        figures: [.init(metric: .accuracy, filter: "none", value: value, standardError: error)],
        documents: size,
        examples: 0, samples: [])
}

@Suite struct TaskGroupTests {
    private let files = Files(files: [
        "f/all.yaml": """
        group: all
        group_alias: everything
        num_fewshot: 2
        task:
          - inner
          - {task: b, num_fewshot: 1, task_alias: bee}
          - tagged
          - {group: inline, task: [e], aggregate_metric_list: {metric: acc, weight_by_size: false}}
          - {task: own, dataset_path: json, dataset_kwargs: {data_files: {test: o.jsonl}}, test_split: test, doc_to_target: y}
        aggregate_metric_list: [{metric: acc, filter_list: none}]
        """,
        "f/inner.yaml": "group: inner\ntask: [a]\n",
        "f/t/a.yaml": task("a", "num_fewshot: 5"), "f/t/b.yaml": task("b"),
        "f/t/d.yaml": task("d", "tag: [tagged, x]"), "f/t/c.yaml": task("c", "tag: tagged"),
        "f/t/e.yaml": task("e"),
        "f/recipe.yaml": "phases: []", "f/broken.yaml": "task: [",
    ])

    @Test func membersAreFoundByNameTagAndPlace() throws {
        guard case .group(let group) = try files.item("f/all.yaml") else {
            Issue.record("no group")
            return
        }
        #expect(group.name == "all" && group.alias == "everything")
        #expect(group.tasks.map(\.name) == ["a", "b", "c", "d", "e", "all::own"])
        #expect(group.members.map(\.name) == ["inner", "b", "c", "d", "all::inline", "all::own"])
        // Keys of the group come before the task's own, those of the list before both.
        #expect(group.tasks.map(\.exampleCount) == [2, 1, 2, 2, 2, 2])
        #expect(group.tasks.map(\.alias) == ["a", "bee", "c", "d", "e", "all::own"])
        #expect(group.tasks[5].file == "f/all.yaml" && group.tasks[0].file == "f/t/a.yaml")
        #expect(EvaluationItem.group(group).groups.map(\.name) == ["inner", "all::inline", "all"])
        guard case .task(let alone) = try files.item("f/t/a.yaml") else {
            Issue.record("no task")
            return
        }
        #expect(alone.exampleCount == 5)
    }

    @Test(arguments: [
        ("group: g", "expected 'task'"), ("group: g\ntask: [nobody]", "no task, group or tag 'nobody'"),
        ("group: g\ntask: a", "expected a list"), ("group: g\ntask: [g]", "groups that hold each other"),
        ("group: g\ntask: [[a]]", "expected a name, or a mapping"),
        ("group: g\ntask: [{num_fewshot: 1}]", "expected 'task' or 'group'"),
        ("group: g\ntask: [{group: inner, group_alias: x}]", "'inner' is a group of its own file"),
        ("group: g\ntask: [a]\nwidth: 3", "width: this key is not read here"),
        ("group: g\ntask: [a]\naggregate_metric_list: [{metric: accuracy}]", "there is no such metric"),
        (
            "group: g\ntask: [a]\naggregate_metric_list: [{metric: exact_match}]",
            "no task of 'g' has the metric"
        ),
        (
            "group: g\ntask: [a]\naggregate_metric_list: [{metric: acc, aggregation: max}]",
            "aggregated by mean"
        ),
    ])
    func mistakesAreNamed(_ text: String, _ expected: String) {
        var files = files
        files.files["f/g.yaml"] = text
        do {
            _ = try files.item("f/g.yaml")
            Issue.record("no error")
        } catch { #expect("\(error)".contains(expected), "\(error)") }
    }

    /// The figures are those of lm-evaluation-harness's own functions for the same values.
    @Test func figuresAreMeansOfTheTasks() throws {
        guard case .group(var group) = try files.item("f/all.yaml") else { return }
        let results = [result("a", 0.5, 0.1, 10), result("b", 0.25, 0.05, 30), result("c", 1, 0.02, 5)]
        let byName = Dictionary(uniqueKeysWithValues: results.map { ($0.task, $0) })
        var figure = group.result(byName).figures[0]
        #expect(abs(figure.value - 17.5 / 45) < 1e-12)
        #expect(abs(figure.standardError! - 0.0403883267) < 1e-9)
        #expect(group.result(byName).counts == [45] && group.result(byName).documents == 45)
        group.aggregates[0].weighsBySize = false
        figure = group.result(byName).figures[0]
        #expect(abs(figure.value - 1.75 / 3) < 1e-12)
        #expect(abs(figure.standardError! - 0.0378593890) < 1e-9)
        var bare = byName
        bare["b"] = result("b", 0.25, nil, 1)
        #expect(group.result(bare).figures[0].standardError == nil)
        #expect(group.result(bare).json["acc_stderr,none"] == "N/A")
        group.aggregates[0].filters = ["other"]
        #expect(group.result(byName).figures.isEmpty)
    }
}

@Suite struct TaskMessageTests {
    private func prompts(
        _ keys: String, system: String = "", template: String? = nil, asTurns: Bool = true
    ) throws -> (contexts: [String], continuations: [String]) {
        let own = keys.contains("fewshot_config") ? keys : keys + "\nfewshot_config: {sampler: first_n}"
        let text = task("t", "fewshot_split: test\n" + own)
        let documents = (0..<3).map { #"{"q": "q\#($0)?", "c": ["no", "yes"], "a": \#($0 % 2)}"# }
        let read = { (path: String) in
            Array((path == "t.yaml" ? text : documents.joined(separator: "\n")).utf8)
        }
        let task = try EvaluationTask(reading: "t.yaml", read: read)
        var style = PromptStyle()
        style.system = system
        if let template {
            let tokenizer = try LoadedModel(opening: fixtures + "/tied").tokenizer
            style.chat = PromptStyle.Chat(try ChatTemplate(source: template), tokenizer)
            style.chat?.examplesAreTurns = asTurns
        }
        var prompts = try TaskPrompts(task, TaskDocuments(task, read: read), style: style)
        let question = try prompts.question(try JSONValue(parsing: Array(documents[2].utf8)).object!)
        return (question.contexts, question.continuations)
    }

    private let template =
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

    @Test func answersMayBeBegun() throws {
        let plain = try prompts("gen_prefix: 'It is'\nnum_fewshot: 1", system: "Think.")
        #expect(
            plain.contexts[0] == "Think.q0? It is no\n\nq2? It is" && plain.continuations == [" no", " yes"])
        // White space at a seam takes the delimiter's place.
        let spaced = try prompts("gen_prefix: \"\\nIt is \"\nnum_fewshot: 1\ndescription: D")
        #expect(spaced.contexts[0] == "Dq0?\nIt is no\n\nq2?\nIt is ")
        let empty = try prompts("gen_prefix: ''\nnum_fewshot: 1\ndescription: D", system: "S")
        #expect(empty.contexts[0] == "S\n\nDq0? no\n\nq2?")
        let other = try prompts(
            "gen_prefix: '{{q}}!'\nfewshot_config: {sampler: first_n, gen_prefix: c0}\nnum_fewshot: 0")
        #expect(other.contexts[0] == "q2? q2?!")
    }

    @Test func templatesTakeTurns() throws {
        let turns = try prompts("num_fewshot: 1\ndescription: D", system: "S", template: template)
        #expect(
            turns.contexts[0]
                == "<system>S\n\nD</><user>q0?</><assistant>no</><user>q2?</><assistant>")
        #expect(turns.continuations == ["no", "yes"])
        let one = try prompts("num_fewshot: 1", template: template, asTurns: false)
        #expect(one.contexts[0] == "<user>q0? no\n\nq2?</><assistant>")
        let begun = try prompts("num_fewshot: 1\ngen_prefix: 'It is'", template: template)
        #expect(begun.contexts[0] == "<user>q0?</><assistant>It is no</><user>q2?</><assistant>It is")
        #expect(begun.continuations == [" no", " yes"])
        let both = try prompts("num_fewshot: 1\ngen_prefix: 'It is '", template: template, asTurns: false)
        #expect(
            both.contexts[0] == "<user>q0? It is no\n\nq2?</><assistant>It is "
                && both.continuations[1] == "yes")
    }

    @Test func templatesThatTakeNoSystemGoWithout() throws {
        let strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + template
        #expect(try prompts("description: D", template: strict).contexts[0] == "<user>q2?</><assistant>")
        let lost = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
        #expect(throws: TaskError.self) { try prompts("gen_prefix: It", template: lost) }
    }

    @Test func trimmedMessagesAreContinuedTrimmed() throws {
        let trims = try ChatTemplate(source: "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}")
        func text(_ content: String) throws -> String {
            try trims.render(continuing: [
                ChatMessage(role: "user", content: "a"), ChatMessage(role: "assistant", content: content),
            ])
        }
        #expect(try text("It is ") == "[a][It is")
        #expect(try text(" It") == "[a][It")
    }
}
