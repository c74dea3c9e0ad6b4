import Testing
import WinnowData
import WinnowTestKit
import WinnowText

@Suite struct BatchStreamTests {
    /// Documents whose tokens say which document and place they are.
    private func documents(_ lengths: [Int]) -> TokenStore {
        TokenStore(
            source: "test",
            documents: lengths.enumerated().map { index, length in
                (0..<length).map { TokenID(1000 * (index + 1) + $0) }
            })
    }

    private func conversations(_ answers: [Int]) throws -> TokenStore {
        try TemporaryFolder.with { folder in
            let lines = answers.map {
                "{\"prompt\": \"a\", \"completion\": \"\(String(repeating: "7", count: $0))\"}\n"
            }
            try TemporaryFolder.write(Array(lines.joined().utf8), to: "\(folder)/c.jsonl")
            return try TokenStore.reading("\(folder)/c.jsonl", tokenizer: try TinyTokenizer.tokenizer())
        }
    }

    /// Every token of every document but its first is a target once, right after its own predecessor.
    @Test(arguments: [1, 3, 8, 64]) func everyTokenIsPredictedOnce(_ length: Int) throws {
        let lengths = [5, 1, 9, 2, 30, 8, 17]
        let dataset = try TokenDataset([documents(lengths)])
        #expect(dataset.documentCount == 6)
        let plan = try WindowPlan(dataset, length: length)
        var targets: [TokenID] = []
        BatchStream(dataset, plan: plan, batch: 2).inOrder { batch in
            for place in batch.ids.indices where batch.weights[place] == 1 {
                #expect(batch.targets[place] == batch.ids[place] + 1)
                targets.append(batch.targets[place])
                let isFirst = place % length == 0 || batch.segments[place] != batch.segments[place - 1]
                #expect(batch.positions[place] == (isFirst ? 0 : batch.positions[place - 1] + 1))
            }
        }
        let all = lengths.enumerated().flatMap { index, length in
            (1..<max(length, 1)).map { TokenID(1000 * (index + 1) + $0) }
        }
        #expect(targets.sorted() == all)
        #expect(plan.windowCount == (all.count + length - 1) / length)
    }

    @Test func aWindowWorkedByHand() throws {
        let dataset = try TokenDataset([documents([4, 3])])
        var stream = BatchStream(
            dataset, plan: try WindowPlan(dataset, length: 4), batch: 2, isShuffled: false, padding: 9)
        let batch = stream.next()
        #expect(batch.ids == [1000, 1001, 1002, 2000, 2001, 9, 9, 9])
        #expect(batch.targets == [1001, 1002, 1003, 2001, 2002, 9, 9, 9])
        #expect(batch.weights == [1, 1, 1, 1, 1, 0, 0, 0])
        #expect(batch.positions == [0, 1, 2, 0, 0, 0, 0, 0])
        #expect(batch.segments == [0, 0, 0, 1, 0, -1, -1, -1])
        #expect(batch.documents(row: 0) == [0..<3, 3..<4])
        #expect(batch.documents(row: 1) == [0..<1])
        #expect(batch.learnedCount == 5)
    }

    @Test func conversationsStayWhole() throws {
        let store = try conversations([3, 9, 2, 5, 1, 7, 4, 4, 6])
        let dataset = try TokenDataset([store]), plan = try WindowPlan(dataset, length: 12)
        var seen: [Int] = [], learned = 0
        BatchStream(dataset, plan: plan, batch: 4).inOrder { batch in
            for row in 0..<batch.batch {
                for range in batch.documents(row: row) {
                    seen.append(range.count)
                    // The prompt's own token is given, what follows is learned.
                    learned += range.reduce(0) { $0 + Int(batch.weights[row * 12 + $1]) }
                }
            }
        }
        // Prompt, digits and end: predictions are one less. Digits are a token each.
        #expect(seen.sorted() == [3, 9, 2, 5, 1, 7, 4, 4, 6].map { $0 + 1 }.sorted())
        #expect(learned == 41 + 9)
        #expect(plan.windowCount == 5)
        let alone = try WindowPlan(dataset, length: 12, packs: false)
        #expect(alone.windowCount == 9)
    }

    @Test func aConversationThatIsTooLongIsNamedOrCut() throws {
        let store = try conversations([3, 9])
        let dataset = try TokenDataset([store])
        #expect(throws: DataError.tooManyTokens(file: store.source, line: 2, tokens: 11, window: 6)) {
            try WindowPlan(dataset, length: 6)
        }
        let plan = try WindowPlan(dataset, length: 6, overflow: .cut)
        var counts: [Int] = []
        BatchStream(dataset, plan: plan, batch: 1).inOrder { counts.append($0.learnedCount) }
        #expect(counts.sorted() == [4, 6])
    }

    @Test func theSeedDecidesTheOrder() throws {
        let dataset = try TokenDataset([documents([200])]), plan = try WindowPlan(dataset, length: 4)
        func firsts(_ seed: UInt64, batches: Int = 40) -> [TokenID] {
            var stream = BatchStream(dataset, plan: plan, batch: 3, seed: seed)
            return (0..<batches).flatMap { _ in
                let batch = stream.next()
                return (0..<3).map { batch.ids[4 * $0] }
            }
        }
        #expect(plan.windowCount == 50)
        #expect(firsts(1) == firsts(1))
        #expect(firsts(1) != firsts(2))
        // Two epochs: each has all windows, in another order.
        let order = firsts(1)
        #expect(Set(order[..<50]).count == 50 && Set(order[50..<100]).count == 50)
        #expect(order[..<50] != order[50..<100])
        #expect(Array(order[..<50]) != Array(order[..<50]).sorted())
    }

    /// Two integers are all that is needed to go on, also across the end of an epoch and in the middle of a
    /// batch.
    @Test func goesOnWhereItStood() throws {
        let dataset = try TokenDataset([documents([90, 33])]), plan = try WindowPlan(dataset, length: 5)
        var straight = BatchStream(dataset, plan: plan, batch: 4, seed: 7)
        for _ in 0..<30 {
            var resumed = BatchStream(dataset, plan: plan, batch: 4, seed: 7, position: straight.position)
            #expect(straight.next() == resumed.next())
            #expect(straight.position == resumed.position)
        }
        #expect(straight.position.epoch == 120 / plan.windowCount)
    }

    @Test func splitsHaveNothingInCommon() throws {
        let dataset = try TokenDataset([documents((0..<50).map { 3 + $0 % 5 })])
        let (training, validation) = try dataset.split(validation: 0.1, seed: 3)
        let held = try #require(validation)
        #expect(held.documentCount == 5 && training.documentCount == 45)
        #expect(training.tokenCount + held.tokenCount == dataset.tokenCount)
        func ids(_ dataset: TokenDataset) throws -> Set<TokenID> {
            var ids: Set<TokenID> = []
            BatchStream(dataset, plan: try WindowPlan(dataset, length: 8), batch: 1).inOrder {
                ids.formUnion($0.ids)
            }
            return ids.subtracting([0])
        }
        #expect(try ids(training).isDisjoint(with: ids(held)))
        #expect(try ids(dataset.split(validation: 0.1, seed: 3).validation!) == ids(held))
        #expect(try ids(dataset.split(validation: 0.1, seed: 4).validation!) != ids(held))
        #expect(try dataset.split(validation: 0).validation == nil)
        // A single text gives its end.
        let one = try TokenDataset([documents([100])]).split(validation: 0.2)
        #expect(one.training.tokenCount == 80 && one.validation?.tokenCount == 20)
    }

    @Test func tooLittleDataIsNamed() throws {
        #expect(throws: DataError.empty(file: "test")) { try TokenDataset([documents([1, 0])]) }
        let tiny = try TokenDataset([documents([3])])
        #expect(throws: DataError.tooLittle(tokens: 3, needed: "a validation share of 0.5")) {
            try tiny.split(validation: 0.5)
        }
        for share in [-0.1, 1, .nan] {
            #expect(throws: DataError.self) { try tiny.split(validation: share) }
        }
        // Fewer windows than a batch: they come again.
        var stream = BatchStream(tiny, plan: try WindowPlan(tiny, length: 8), batch: 3)
        #expect(stream.next().learnedCount == 6)
        #expect(stream.position == DataPosition(epoch: 2, window: 1))
    }
}
