import Foundation
import Testing
import WinnowTrain

@Suite struct ScalarScheduleTests {
    private func schedule(_ json: String) throws -> ScalarSchedule {
        try JSONDecoder().decode(ScalarSchedule.self, from: Data(json.utf8))
    }

    /// Worked by hand.
    private static let values: [(json: String, total: Int, at: [(Int, Double)])] = [
        ("0.25", 10, [(0, 0.25), (9, 0.25)]),
        (#"{"kind": "constant", "value": 3}"#, 10, [(5, 3)]),
        (
            #"{"kind": "linear", "from": 1, "to": 3, "begin": 10, "end": 20}"#, 99,
            [(0, 1), (10, 1), (15, 2), (20, 3), (50, 3)]
        ),
        (#"{"kind": "linear", "from": 1, "to": 0}"#, 8, [(0, 1), (2, 0.75), (8, 0)]),
        (
            #"{"kind": "cosine", "from": 1, "to": 0, "end": 12}"#, 99,
            [(0, 1), (2, 0.9330127018922193), (4, 0.75), (6, 0.5), (12, 0)]
        ),
        // Gradual magnitude pruning's table (sheet 01).
        (
            #"{"kind": "cubic", "from": 0, "to": 0.9, "begin": 0, "end": 100}"#, 500,
            [(-1, 0), (0, 0), (25, 0.5203125), (50, 0.7875), (75, 0.8859375), (100, 0.9), (101, 0.9)]
        ),
        (#"{"kind": "polynomial", "from": 1, "to": 0, "power": 2, "end": 4}"#, 9, [(1, 0.5625), (2, 0.25)]),
        // Hugging Face's linear schedule with warm-up: 2 of 10 steps.
        (
            #"{"kind": "warmup", "steps": 2, "then": {"kind": "linear", "from": 8, "to": 0, "begin": 2}}"#,
            10,
            [(0, 0), (1, 4), (2, 8), (6, 4), (10, 0)]
        ),
        (#"{"kind": "warmup", "steps": 0, "then": 2}"#, 10, [(0, 2)]),
        (
            #"{"kind": "stable_decay", "from": 4, "to": 0, "decay": 4}"#, 10,
            [(0, 4), (6, 4), (7, 3), (10, 0)]
        ),
        (
            #"{"kind": "piecewise", "pieces": [{"begin": 0, "schedule": 1}, {"begin": 5, "schedule": {"kind": "linear", "from": 0, "to": 1, "begin": 5, "end": 7}}]}"#,
            10, [(0, 1), (4, 1), (5, 0), (6, 0.5), (7, 1)]
        ),
        (
            #"{"kind": "cyclic", "from": 1, "to": 3, "period": 4}"#, 99,
            [(0, 1), (1, 2), (2, 3), (3, 2), (4, 1)]
        ),
        (
            #"{"kind": "cyclic", "from": 0, "to": 8, "period": 4, "wave": "sawtooth"}"#, 99,
            [(0, 0), (3, 6), (4, 0)]
        ),
        (#"{"kind": "cyclic", "from": 0, "to": 1, "period": 4, "wave": "cosine"}"#, 99, [(1, 0.5), (2, 1)]),
    ]

    @Test(arguments: values.indices) func valuesAreAsWorkedByHand(_ index: Int) throws {
        let (json, total, points) = Self.values[index]
        let schedule = try schedule(json)
        for (step, value) in points {
            #expect(abs(schedule.value(at: step, of: total) - value) <= 1e-15, "\(json) at \(step)")
        }
        let written = try JSONEncoder().encode(schedule)
        #expect(try JSONDecoder().decode(ScalarSchedule.self, from: written) == schedule)
    }

    @Test func curvesEndExactly() {
        for curve in [.linear, .cosine, .polynomial(power: 3)] as [ScalarSchedule.Curve] {
            let schedule = ScalarSchedule.curve(curve, from: 0.1, to: 0.7, begin: 3, end: 19)
            #expect(schedule.value(at: 3, of: 0) == 0.1)
            #expect(schedule.value(at: 19, of: 0) == 0.7)
            let values = (3...19).map { schedule.value(at: $0, of: 0) }
            #expect(zip(values, values.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    @Test(arguments: [
        (
            #"{"kind": "cubic", "from": 0, "to": 1, "begn": 3}"#,
            ScheduleError.unknownKey(kind: "cubic", key: "begn", known: ["from", "to", "begin", "end"])
        ),
        (
            #"{"kind": "warmup", "steps": 3, "then": {"kind": "linear", "from": 0, "to": 1, "power": 2}}"#,
            .unknownKey(kind: "linear", key: "power", known: ["from", "to", "begin", "end"])
        ),
        (
            #"{"kind": "linear", "from": 0, "to": 1, "begin": 5, "end": 5}"#,
            .badValue(key: "end", value: "5", expected: "a step after begin, 5")
        ),
        (
            #"{"kind": "cyclic", "from": 0, "to": 1, "period": 0}"#,
            .badValue(key: "period", value: "0", expected: "1 or more")
        ),
        (
            #"{"kind": "piecewise", "pieces": [{"begin": 2, "schedule": 1}]}"#,
            .badValue(key: "pieces", value: "begins [2]", expected: "rising steps from 0 on")
        ),
        (
            #"{"kind": "polynomial", "from": 0, "to": 1, "power": 0}"#,
            .badValue(key: "power", value: "0.0", expected: "more than 0")
        ),
    ]) func wrongSchedulesAreNamed(_ json: String, _ expected: ScheduleError) {
        #expect(throws: expected) { try schedule(json) }
    }

    @Test func anUnknownKindNamesTheKnown() {
        let error = #expect(throws: ScheduleError.self) { try schedule(#"{"kind": "sine"}"#) }
        #expect(
            error?.description
                == "no schedule 'sine'; there are constant, linear, cosine, polynomial, cubic, warmup, stable_decay, "
                + "piecewise, cyclic")
    }
}
