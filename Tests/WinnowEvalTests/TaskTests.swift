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

    func read(_ path: String) throws -> [UInt8] {
        guard let text = files[path] else {
            throw TaskError(file: path, line: nil, path: "", reason: "not there")
        }
        return Array(text.utf8)
    }

    /// The questions of `t.yaml`.
    func questions() throws -> [TaskQuestion] {
        let task = try EvaluationTask(reading: "t.yaml", read: read)
        let documents = try TaskDocuments(task, read: read)
        var prompts = try TaskPrompts(task, documents)
        return try documents.scored.map { try prompts.question($0) }
    }
}

private let header = """
    task: t
    dataset_path: json
    dataset_kwargs: {data_files: {test: d.jsonl}}
    test_split: test

    """

/// What lm-evaluation-harness 0.4.13 and Python 3 give stands in these tests as numbers and texts.
@Suite struct TaskPromptTests {
    @Test func pythonsRandomIsPythons() {
        var random = PythonRandom(seed: 1234)
        #expect(random.next() == 4_150_886_329)
        random = PythonRandom(seed: 1234)
        #expect(random.sample(10, count: 3) == [7, 1, 0])
        #expect(random.sample(10, count: 3) == [1, 0, 9])
        #expect(random.sample(1000, count: 4) == [100, 784, 363, 242])
        #expect(random.sample(100, count: 7) == [2, 3, 44, 82, 79, 61, 78])
    }

    @Test func pythonsLiteralsAreRead() {
        #expect(
            PythonLiteral.value(of: #"['a', "b'c", 'd\'e', 'é\n\x41\u0042']"#) == [
                "a", "b'c", "d'e", "é\nAB",
            ])
        #expect(PythonLiteral.value(of: "(1, -2.5, None, [True])") == [1, -2.5, .null, [true]])
        for bad in ["[1", "['a]", "[a]", "[1] x", "", "[1 2]", "'\\"] {
            #expect(PythonLiteral.value(of: bad) == nil)
        }
    }

    @Test func choicesFollowTheQuestionBehindExamplesOfTheSameSplit() throws {
        let documents = (0..<4).map { #"{"q": "q\#($0)?", "options": ["no", "yes"], "right": \#($0 % 2)}"# }
        let files = Files(files: [
            "t.yaml": header + """
                fewshot_split: test
                num_fewshot: 2
                output_type: multiple_choice
                description: "Answer.\\n"
                doc_to_text: "Q: {{q}} A:"
                doc_to_choice: options
                doc_to_target: "{{right}}"
                fewshot_config: {sampler: first_n}
                """,
            "d.jsonl": documents.joined(separator: "\n"),
        ])
        let questions = try files.questions()
        // The document itself is no example of its own.
        #expect(questions[0].contexts[1] == "Answer.\nQ: q1? A: yes\n\nQ: q2? A: no\n\nQ: q0? A:")
        #expect(questions[3].contexts[0] == "Answer.\nQ: q0? A: no\n\nQ: q1? A: yes\n\nQ: q3? A:")
        #expect(questions[3].continuations == [" no", " yes"] && questions[3].rightChoices == [1])
    }

    @Test func choicesThatAreContextsShareWhatFollows() throws {
        let files = Files(files: [
            "t.yaml": header + """
                output_type: multiple_choice
                doc_to_text: label
                doc_to_choice: "{{[a, b]}}"
                doc_to_target: rest
                """,
            "d.jsonl": #"{"a": "It's Tom", "b": "\"Jo\"", "rest": "ran.", "label": 1}"#,
        ])
        let question = try files.questions()[0]
        #expect(question.contexts == ["It's Tom", "\"Jo\""])
        #expect(question.continuations == [" ran.", " ran."] && question.rightChoices == [1])
    }

    @Test func ownKeysComeBeforeIncludedOnes() throws {
        let files = Files(files: [
            "t.yaml": "include: base.yaml\ndoc_to_text: \"{{x}}!\"\n",
            "base.yaml": header + "output_type: loglikelihood\ndoc_to_text: x\ndoc_to_target: x\n",
            "d.jsonl": #"[{"x": "one"}, {"x": "two"}]"#,
        ])
        #expect(try files.questions().map(\.contexts) == [["one!"], ["two!"]])
    }

    @Test func whiteSpaceOfTemplatesStays() throws {
        let files = Files(files: [
            "t.yaml": header
                + "output_type: loglikelihood\ndoc_to_text: \"{% if x %}\\n{{x}}\\n{% endif %}\\n\"\ndoc_to_target: x\n",
            "d.jsonl": #"{"x": "one"}"#,
        ])
        #expect(try files.questions()[0].contexts == ["\none\n\n"])
    }

    @Test(arguments: [
        ("doc_to_txt: x", "t.yaml:5: doc_to_txt: this key is not read here"),
        ("process_docs: f", "t.yaml:5: process_docs: 'process_docs' needs Python"),
        ("output_type: seq", "t.yaml:5: output_type: there is no such output"),
        ("output_type: multiple_choice\ndoc_to_target: x", "multiple_choice needs 'doc_to_choice'"),
        ("doc_to_target: x\ntraining_split: train", "t.yaml:6: training_split: no such split"),
        ("doc_to_target: x\nmetric_list: [{metric: acc}]", "generate_until has no such metric here"),
        (
            "doc_to_target: x\nfilter_list: [{name: n, filter: [{function: regex, regex_pattern: '['}]}]",
            "not a regular expression"
        ),
        ("doc_to_target: x\ngeneration_kwargs: {do_sample: true}", "answers are greedy here"),
        ("doc_to_target: '{{y}}'", "doc_to_target: "),
        ("doc_to_target: x\nnum_fewshot: 9", "9 examples need"),
    ])
    func mistakesAreNamed(_ text: String, _ expected: String) {
        let files = Files(files: ["t.yaml": header + text, "d.jsonl": #"{"x": "one"}"#])
        do {
            _ = try files.questions()
            Issue.record("no error")
        } catch { #expect("\(error)".contains(expected), "\(error)") }
    }

    @Test func brokenDocumentsAreNamed() {
        for (text, expected) in [
            ("{\"x\": 1}\n{", "d.jsonl:2"), ("[1]", "expected a list of objects"), ("", "has no documents"),
        ] {
            let files = Files(files: ["t.yaml": header + "doc_to_target: x", "d.jsonl": text])
            do {
                _ = try files.questions()
                Issue.record("no error")
            } catch { #expect("\(error)".contains(expected), "\(error)") }
        }
    }
}

@Suite struct TaskScoreTests {
    private func question(_ choices: [String], gold: JSONValue) -> TaskQuestion {
        TaskQuestion(contexts: [], continuations: [], choices: choices, gold: gold)
    }

    @Test func choicesAreWonBySumsCharactersBytesAndGain() {
        let question = question(["ab", "éééé"], gold: 1)
        let scores = [-4.0, -6.0].map { LogLikelihood.Score(sum: $0, isGreedy: $0 == -6) }
        let bare = [-1.0, -6.0].map { LogLikelihood.Score(sum: $0, isGreedy: false) }
        func value(_ kind: TaskMetric.Kind) -> Double? {
            TaskMetric(kind).value(question, scores, unconditional: bare)?.value
        }
        #expect(value(.accuracy) == 0)  // -4 > -6
        #expect(value(.normalizedAccuracy) == 1)  // -4/2 < -6/4
        #expect(value(.byteAccuracy) == 1)  // -4/2 < -6/8
        #expect(value(.mutualInformationAccuracy) == 1)  // -3 < 0
        #expect(value(.exactMatch) == 1)
    }

    @Test func exactMatchesLeaveOutWhatTheyAreTold() throws {
        var metric = TaskMetric(.exactMatch)
        #expect(try metric.value(answer: "12", "12").value == 1)
        #expect(try metric.value(answer: "A, b.", "a b").value == 0)
        metric.ignoresCase = true
        metric.ignoresPunctuation = true
        #expect(try metric.value(answer: "A, b.", ["x", "a b"]).value == 1)
        metric.ignoredPatterns = ["b+"]
        metric.ignoresNumbers = true
        #expect(try metric.value(answer: "a bbb7", "A ").value == 1)
    }

    @Test func filtersFindWhatPythonFinds() throws {
        func apply(_ pattern: String, _ text: String, _ group: Int = 0) throws -> String {
            try TaskFilter.Pipeline(
                name: "f", filters: [.regex(pattern: pattern, group: group, fallback: "none")]
            ).apply(text)
        }
        #expect(try apply("[0-9]+", "a 12 b 7") == "12")
        #expect(try apply("[0-9]+", "a 12 b 7", -1) == "7")
        #expect(try apply("#### ([0-9]+)", "x #### 5") == "5")
        #expect(try apply("(a)|(b)", "xb") == "b")
        #expect(try apply("z", "abc") == "none")
        #expect(try apply(" a ", "x a y") == "a")
    }

    @Test func perplexitiesAreWeighted() {
        let values = [MetricValue(value: -6, weight: 2), MetricValue(value: -3, weight: 4)]
        #expect(abs(TaskMetric(.wordPerplexity).aggregate(values) - 4.4816890703) < 1e-9)  // exp(9 / 6)
        #expect(abs(TaskMetric(.bitsPerByte).aggregate(values) - 2.1640425613) < 1e-9)  // 1.5 / ln 2
        #expect(
            abs(
                TaskMetric(.accuracy).standardError([1, 0, 0, 1].map { MetricValue(value: $0) })!
                    - 0.2886751346) < 1e-9)
        #expect(TaskMetric.words("a b\n c") == 3 && TaskMetric.words(" a ") == 3 && TaskMetric.words("") == 1)
    }

    /// Against Python's own generator: `random.Random(i).choices`, 100 chunks of 1,000, math.exp of minus the mean.
    @Test func perplexitiesAreResampledAsTheHarnessDoes() throws {
        let values = [-1.5, -0.25, -3, -2, -0.75].map { MetricValue(value: $0) }
        let error = try #require(TaskMetric(.perplexity).standardError(values))
        #expect(abs(error - 2.2555959496632787) < 1e-9)
        #expect(TaskMetric(.perplexity).standardError([values[0]]) == nil)
        #expect(TaskMetric(.wordPerplexity).standardError(values) == nil)
    }

    /// Every score against logits at each position of each text, computed alone.
    @Test(arguments: [(512, 64), (7, 2)]) func likelihoodsAreThoseOfWholeTexts(_ chunk: Int, _ logitRows: Int)
        throws
    {
        let loaded = try LoadedModel(opening: fixtures + "/tied")
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.chunk = chunk
        configuration.logitRows = logitRows
        let runner = try ModelRunner(loaded.model, configuration)
        let likelihood = LogLikelihood(runner, loaded.tokenizer, limit: 24)
        func naive(_ ids: [TokenID], last count: Int) throws -> LogLikelihood.Score {
            let sequence = runner.makeSequence(capacity: 128)
            var score = LogLikelihood.Score(sum: 0, isGreedy: true)
            for (place, id) in ids.dropLast().enumerated() {
                runner.begin()
                try [id].withUnsafeBufferPointer { try runner.append($0, to: sequence) }
                try runner.run()
                guard place + 1 >= ids.count - count else { continue }
                let logits = try runner.logits(rows: 0..<1)
                score.sum += Double(logits[Int(ids[place + 1])]) - LogProbabilities.logSumExp(logits)
                if logits.indices.max(by: { logits[$0] < logits[$1] }) != Int(ids[place + 1]) {
                    score.isGreedy = false
                }
            }
            return score
        }
        let requests = [
            ("The quick ", "brown"), ("The quick ", "red fox"), ("The quick", " brown"), ("", "one two"),
            (String(repeating: "one two ", count: 20), "three"),
        ]
        let scores = try likelihood.scores(requests.map { (context: $0.0, continuation: $0.1) })
        for (request, score) in zip(requests, scores) {
            let pair = try likelihood.encode(request.0, request.1)
            let expected = try naive(
                (pair.context + pair.continuation).suffix(25), last: pair.continuation.count)
            #expect(abs(score.sum - expected.sum) < 1e-9 && score.isGreedy == expected.isGreedy)
        }
        #expect(scores[0] == scores[2])
        // 60 tokens in windows of 24, 24 and 12; the last looks back as far as fits.
        let text = String(repeating: "a1 ", count: 20)
        let ids = loaded.tokenizer.encode(text)
        #expect(ids.count > 48)
        var sum = try naive(
            [loaded.tokenizer.bosID ?? loaded.tokenizer.definition.eosID!] + ids[..<24], last: 24
        ).sum
        var start = 24
        while start < ids.count {
            let end = min(start + 24, ids.count)
            sum += try naive(Array(ids[(end - 25)..<end]), last: end - start).sum
            start = end
        }
        #expect(abs(try likelihood.rolling(text) - sum) < 1e-9)
    }

    @Test func aTaskRunsFromFileToFigures() throws {
        let loaded = try LoadedModel(opening: fixtures + "/tied")
        var configuration = ModelRunner.Configuration(threads: 1)
        configuration.logitRows = 4
        let likelihood = LogLikelihood(try ModelRunner(loaded.model, configuration), loaded.tokenizer)
        let files = Files(files: [
            "t.yaml": header + """
                doc_to_text: x
                doc_to_target: y
                filter_list: [{name: low, filter: [{function: lowercase}, {function: take_first}]}]
                """,
            "d.jsonl":
                "{\"x\": \"a\", \"y\": \"ok\"}\n{\"x\": \"b\", \"y\": \"no\"}\n{\"x\": \"c\", \"y\": \"ok\"}",
        ])
        let task = try EvaluationTask(reading: "t.yaml", read: files.read)
        var run = TaskRun()
        run.limit = 2
        run.keepsSamples = true
        let result = try run.run(
            task, on: likelihood, read: files.read,
            generate: { prompt, stops, most in
                #expect(stops == ["\n\n"] && most == 256)
                return "OK"
            })
        #expect(result.json["exact_match,low"] == 0.5 && result.documents == 2)
        #expect(result.samples.map { $0["answers"] } == ["OK", "OK"])
    }
}
