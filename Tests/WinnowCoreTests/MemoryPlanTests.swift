import Testing
import WinnowCore

@Suite struct MemoryPlanTests {
    private var plan: MemoryPlan {
        var plan = MemoryPlan()
        plan.add("weights", bytes: 100 << 20)
        plan.add("key-value pages", bytes: 300 << 20)
        plan.add("workspace", bytes: 8 << 20)
        return plan
    }

    @Test func addsUp() {
        #expect(MemoryPlan().total == 0)
        #expect(plan.total == 408 << 20)
        #expect(plan.items.map(\.name) == ["weights", "key-value pages", "workspace"])
    }

    @Test func aLimitThatIsMetPasses() throws {
        try plan.check(limit: nil)
        try plan.check(limit: 408 << 20)
    }

    @Test func aLimitThatIsNotNamesTheLargestItem() {
        let error = #expect(throws: MemoryLimitError.self) { try plan.check(limit: (408 << 20) - 1) }
        #expect(error?.needed == 408 << 20)
        #expect(error?.largestBytes == 300 << 20)
        #expect(
            error?.description
                == "this needs 408 MiB, 1 B more than the limit of 408 MiB; "
                + "most of it (300 MiB) is key-value pages")
    }

    /// Sizes far under a mebibyte are told apart.
    @Test func smallSizesAreNotZero() {
        var plan = MemoryPlan()
        plan.add("weights", bytes: 262_144)
        plan.add("workspace", bytes: 37_856)
        let error = #expect(throws: MemoryLimitError.self) { try plan.check(limit: 512) }
        #expect(
            error?.description
                == "this needs 293 KiB, more than the limit of 512 B; most of it (256 KiB) is weights")
    }
}
