import Testing
import WinnowGenerate
import WinnowText

private func pick(_ logits: [Float], _ options: GenerationOptions, draws: Int = 1) -> [TokenID] {
    var sampler = Sampler(options)
    return logits.withUnsafeBufferPointer { logits in (0..<draws).map { _ in sampler.pick(logits) } }
}

@Suite struct SamplerTests {
    @Test func temperatureZeroTakesTheBestAndTheLowestOfEquals() {
        #expect(pick([0, 3, 3, 1], GenerationOptions()) == [1])
    }

    @Test func frequenciesFollowTheDistribution() {
        var options = GenerationOptions()
        options.temperature = 2
        let logits: [Float] = [2, 0, -2, -100]
        let drawn = pick(logits, options, draws: 20_000)
        // exp(1), exp(0), exp(-1) over their sum.
        for (id, expected) in [(0, 0.6652), (1, 0.2447), (2, 0.0900)] {
            let share = Double(drawn.filter { Int($0) == id }.count) / 20_000
            #expect(abs(share - expected) < 0.012)
        }
        #expect(!drawn.contains(3))
    }

    @Test func filtersKeepWhatTheyPromise() {
        let logits: [Float] = [1, 0.9, 0.5, -1]
        var options = GenerationOptions()
        options.temperature = 1
        options.topK = 2
        #expect(Set(pick(logits, options, draws: 500)) == [0, 1])
        options.topK = 0
        options.topP = 0.4  // the best alone has 0.376: one more is needed
        #expect(Set(pick(logits, options, draws: 500)) == [0, 1])
        options.topP = 1
        options.minP = 0.7  // exp(-0.1) = 0.905 stays, exp(-0.5) = 0.607 goes
        #expect(Set(pick(logits, options, draws: 500)) == [0, 1])
    }

    @Test func repeatPenaltyLowersWhatWasSeen() {
        var options = GenerationOptions()
        options.repeatPenalty = 2
        #expect(pick([2, 1.5, -1], options, draws: 3) == [0, 1, 0])
    }

    @Test func sameSeedSameTokens() {
        var options = GenerationOptions()
        options.temperature = 1
        options.seed = 11
        let logits = (0..<100).map { Float($0 % 7) }
        #expect(pick(logits, options, draws: 50) == pick(logits, options, draws: 50))
    }

    @Test func badOptionsAreNamed() {
        var options = GenerationOptions()
        options.topP = 0
        #expect(
            throws: GenerationError.badOption(name: "top-p", value: "0.0", expected: "more than 0, at most 1")
        ) {
            try options.validate()
        }
    }
}

@Suite struct StopMatcherTests {
    @Test func cutsAtTheFirstStopAcrossPieces() {
        var matcher = StopMatcher(["END", "###"])
        var shown = ""
        var stopped = false
        for piece in ["one E", "N two ", "EN", "D three"] where !stopped {
            let (text, stop) = matcher.append(piece)
            shown += text
            stopped = stop
        }
        #expect(shown == "one EN two ")
        #expect(stopped)
    }

    @Test func givesBackWhatWasHeld() {
        var matcher = StopMatcher(["<end>"])
        #expect(matcher.append("a <en").text == "a ")
        #expect(matcher.finish() == "<en")
    }

    @Test func holdsNothingWithoutStops() {
        var matcher = StopMatcher([])
        #expect(matcher.append("text <").text == "text <")
    }
}
