import Testing
import WinnowCore
import WinnowIO
import WinnowJSON
import WinnowWeights

@Suite struct FormatPlanTests {
    private static let conditions = FormatPlan.Conditions(
        maxWeightError: 0.02, instructionSet: "scalar", threads: 1, activations: .fast)

    /// A clock that says how fast each format is; those without a time are slow.
    private func choose(
        _ model: Checkpoint, target: ModelConversion.Target = .packed, maxWeightError: Double = 0.02,
        times: [String: Double]
    ) throws -> FormatPlan {
        var chooser = FormatChooser(for: target)
        chooser.maxWeightError = maxWeightError
        return try chooser.choose(
            model, conditions: FormatPlanTests.conditions, on: KernelPool(threads: 2),
            measure: { candidates, _ in candidates.map { times[$0.format.name] ?? 9 } })
    }

    private func candidate(_ plan: FormatPlan, _ choice: Int, _ format: String) throws -> FormatPlan.Candidate
    {
        try #require(plan.choices[choice].candidates.first { $0.format.name == format })
    }

    @Test func theFastestWithinTheBoundIsTaken() throws {
        let model = try Checkpoint.open(Fixture.path("untied"))
        let plan = try choose(model, times: ["q4_0": 1, "int8": 2, "q8_0": 3])
        // Four shapes in the blocks, and the head.
        #expect(plan.choices.count == 5)
        #expect(plan.choices.flatMap(\.names).count == 15)
        #expect(plan.choices.allSatisfy { $0.format == .int8 })
        // Four bits are faster and change too much: they are not timed.
        let block = try #require(plan.choices.firstIndex { $0.names.count > 1 })
        let refused = try candidate(plan, block, "q4_0")
        #expect(refused.refusal == .error && refused.seconds == nil && refused.error ?? 0 > 0.02)
        #expect(try candidate(plan, block, "q8_0").refusal == .slower)
        let chosen = try candidate(plan, block, "int8")
        #expect(chosen.refusal == nil && chosen.seconds == 2)
        #expect(
            plan.choices[block].reason.hasPrefix("the fastest within the bound: 1.50 times the speed of q8_0")
        )
        // A wider bound lets them in, but not for the head.
        let wide = try choose(model, maxWeightError: 0.5, times: ["q4_0": 1, "int8": 2])
        for choice in wide.choices {
            let isHead = choice.names == ["lm_head.weight"]
            #expect(choice.format == (isHead ? .int8 : .q4_0), "\(choice.names)")
            #expect(isHead != choice.candidates.contains { $0.format == .q4_0 })
        }
    }

    @Test func timesTooCloseToTellGoToTheExacterOne() throws {
        let model = try Checkpoint.open(Fixture.path("untied"))
        let plan = try choose(model, times: ["int8": 1, "f32": 1.019, "bf16": 1.03])
        #expect(plan.choices.allSatisfy { $0.format == plan.choices[0].source || $0.format == .f32 })
        #expect(plan.choices[0].reason.contains("more exact"))
    }

    /// The worst matrix of a group decides.
    @Test func oneMatrixRefusesForAll() throws {
        let model = try Checkpoint.open(Fixture.path("untied"))
        let pool = try KernelPool(threads: 1)
        let groups = try FormatChooser(for: .packed).groups(of: model, on: pool)
        let group = try #require(groups.first { $0.names.count > 2 })
        let errors = try group.names.map { name -> Double in
            let matrix = try model.matrix(name)
            return try matrix.converted(to: .q8_0, on: pool, name: name).relativeError(of: matrix, on: pool)
        }
        let largest = try #require(errors.max())
        try #require(errors[0] < largest)
        let bound = (errors[0] + largest) / 2
        let plan = try choose(model, maxWeightError: bound, times: ["q8_0": 1, "bf16": 2])
        let choice = try #require(plan.choices.first { $0.names == group.names })
        #expect(choice.format != .q8_0)
        #expect(choice.candidates.first { $0.format == .q8_0 }?.refusal == .error)
    }

    @Test func masksOnlyWhereZerosAre() throws {
        let dense = try choose(Checkpoint.open(Fixture.path("untied")), times: [:])
        #expect(dense.choices.allSatisfy { $0.candidates.allSatisfy { !$0.format.isMasked } })
        try Fixture.withFolder { folder in
            try Fixture.writeMasked(to: "\(folder)/masked")
            let model = try Checkpoint.open("\(folder)/masked")
            let times = ["q4_1": 1.0, "q4_0": 2, "masked-int8": 3]
            let plan = try choose(model, times: times)
            let block = try #require(plan.choices.first { $0.source == .maskedQ4_1 })
            #expect(block.zeros > 0.5 && block.format == .maskedInt8)
            // Dense Q4_1 has no code for zero: what was pruned would come back.
            #expect(block.candidates.first { $0.format == .q4_1 }?.refusal != nil)
            var conversion = try ModelConversion(to: .packed)
            conversion.plan = plan
            try conversion.write(model, to: "\(folder)/out", overwrite: false, on: KernelPool(threads: 1))
            let written = try Checkpoint.open("\(folder)/out")
            for name in block.names {
                let (before, after) = try (model.matrix(name), written.matrix(name))
                #expect(after.format == .maskedInt8 && after.mask == before.mask)
            }
        }
    }

    /// Written and read again it is the same, and what it makes is the same file without a measurement.
    @Test(arguments: ["tied-q4_1.gguf", "untied"])
    func plansReplay(_ name: String) throws {
        let model = try Checkpoint.open(Fixture.path(name))
        try Fixture.withFolder { folder in
            let plan = try choose(model, times: ["int8": 1, "q8_0": 1.5])
            let file = "\(folder)/plan.json"
            try Fixture.write(Array(plan.json.text(indent: 2).utf8), to: file)
            let again = try FormatPlan(reading: file)
            #expect(again == plan)
            try again.check(model, for: .packed, file: file)
            for (index, own) in [plan, again].enumerated() {
                var conversion = try ModelConversion(to: .packed)
                conversion.plan = own
                try conversion.write(
                    model, to: "\(folder)/\(index)", overwrite: false, on: KernelPool(threads: 1))
            }
            #expect(try ConversionTests.values("\(folder)/0") == ConversionTests.values("\(folder)/1"))
            let written = try Checkpoint.open("\(folder)/1")
            for (name, _) in FormatPlan.names(of: model) {
                #expect(try written.matrix(name).format == plan.format(of: name))
            }
        }
    }

    @Test func plansOfOtherModelsAreRefused() throws {
        let model = try Checkpoint.open(Fixture.path("untied"))
        let plan = try choose(model, times: ["int8": 1])
        func difference(_ path: String, _ target: ModelConversion.Target = .packed) -> FormatPlanError? {
            #expect(throws: FormatPlanError.self) {
                try plan.check(Checkpoint.open(Fixture.path(path)), for: target, file: "p.json")
            }
        }
        #expect(
            difference("tied-q4_1.gguf")
                == .otherModel(
                    file: "p.json", model: Fixture.path("tied-q4_1.gguf"),
                    difference: "it does not know model.embed_tokens.weight"))
        let format = difference("untied-f16.gguf")
        #expect(
            format?.description.contains("is f16, not ") == true,
            "\(format.map(String.init(describing:)) ?? "")")
        #expect(
            difference("untied", .gguf)
                == .formatNotForTarget(file: "p.json", format: "int8", target: "gguf"))
        // The same shapes and formats with other weights.
        let other = FormatPlan(
            architecture: plan.architecture, fingerprint: String(repeating: "0", count: 64),
            conditions: plan.conditions, choices: plan.choices)
        #expect(
            throws: FormatPlanError.otherModel(
                file: "p.json", model: model.path, difference: "its weights differ")
        ) { try other.check(model, for: .packed, file: "p.json") }
    }

    @Test func damagedPlansSayWhere() throws {
        let plan = try choose(Checkpoint.open(Fixture.path("untied")), times: ["int8": 1])
        let text = plan.json.text()
        try Fixture.withFolder { folder in
            let file = "\(folder)/plan.json"
            func error(_ from: String, _ to: String) throws -> FormatPlanError? {
                let changed = text.replacing(from, with: to, maxReplacements: 1)
                #expect(changed != text)
                Fixture.removeFile(file)
                try Fixture.write(Array(changed.utf8), to: file)
                return #expect(throws: FormatPlanError.self) { _ = try FormatPlan(reading: file) }
            }
            #expect(
                try error("\"format\":\"int8\"", "\"format\":\"int9\"")
                    == .unknownFormat(file: file, format: "int9"))
            #expect(
                try error("\"version\":1", "\"version\":2")
                    == .wrongField(
                        file: file, field: "version", found: "2", expected: "1, the only version there is"))
            #expect(
                try error("\"threads\":1", "\"threads\":\"two\"")
                    == .wrongField(file: file, field: "threads", found: "\"two\"", expected: "a whole number")
            )
            #expect(
                try error("\"shape\":[", "\"shape\":[1,")
                    == .wrongField(
                        file: file, field: "choices[0].shape",
                        found: "[1,\(plan.choices[0].rows),\(plan.choices[0].columns)]",
                        expected: "outputs and inputs"))
            #expect(
                try error("\"refusal\":\"slower\"", "\"refusal\":\"tired\"")?.description.contains(
                    "error, zeros")
                    == true)
            #expect(
                try error("\"reason\"", "\"reasons\"")
                    == .wrongField(
                        file: file, field: "choices[0].reason", found: "missing", expected: "a string"))
            let names = try #require(plan.choices.first { $0.names.count > 1 }).names
            #expect(
                try error("\"\(names[1])\"", "\"\(names[0])\"")?.description.contains(
                    "a second time")
                    == true)
            guard case .badJSON = try error("{", "") else {
                Issue.record("no badJSON")
                return
            }
        }
    }

    /// With the real clock: candidates are timed, and something is chosen.
    @Test func theTimerTimesAll() throws {
        let model = try Checkpoint.open(Fixture.path("untied"))
        let pool = try KernelPool(threads: 1)
        var timer = CandidateTimer(workingSet: 1 << 16, modelWeights: 100_000, activations: .fast)
        timer.seconds = 0.0001
        let plan = try FormatChooser(for: .packed).choose(
            model, conditions: FormatPlanTests.conditions, on: pool,
            measure: { candidates, _ in try timer.measure(candidates, on: pool) })
        for choice in plan.choices {
            #expect(choice.candidates.filter { $0.refusal == nil }.count == 1)
            for candidate in choice.candidates where candidate.refusal == .slower || candidate.refusal == nil
            {
                #expect(candidate.seconds ?? 0 > 0)
            }
        }
    }
}
