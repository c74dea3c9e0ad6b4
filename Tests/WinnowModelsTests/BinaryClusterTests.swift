import Testing
import WinnowCore
import WinnowModels

@Suite struct BinaryClusterTests {
    /// Groups of sets around a few prototypes of 12 elements, one element changed in each set.
    private func groups(_ count: Int, each: Int) -> [[Int]] {
        var random = Random(seed: 4)
        return (0..<count * each).map { index in
            let group = index % count
            var set = Set(group * 20..<group * 20 + 12)
            set.remove(group * 20 + Int(random.next() % 12))
            set.insert(group * 20 + 12 + Int(random.next() % 8))
            return set.sorted()
        }
    }

    @Test(arguments: [4, 5, 7]) func groupsAreFound(_ count: Int) {
        let sets = groups(count, each: 12)
        let found = BinaryClusters(sets, width: 20 * count)
        #expect(found.centres.count == count)
        for (index, member) in found.members.enumerated() { #expect(member == found.members[index % count]) }
        #expect(Set(found.members).count == count)
        // The centre is the mean of its members.
        let own = sets.indices.filter { found.members[$0] == 0 }
        for element in 0..<20 * count {
            let share = Double(own.count { sets[$0].contains(element) }) / Double(own.count)
            #expect(abs(Double(found.centres[0][element]) - share) < 1e-6)
        }
        #expect(BinaryClusters(sets, width: 20 * count).members == found.members)
    }

    @Test func fewSetsGiveFewClusters() {
        #expect(BinaryClusters([[1, 2]], width: 4).centres == [[0, 1, 1, 0]])
        #expect(BinaryClusters([[1], [2], [1]], width: 4).centres.count == 2)
        // Four at least, where there are four.
        #expect(BinaryClusters((0..<6).map { [$0] }, width: 6).centres.count >= 4)
    }

    @Test func inertiaIsTheSumOfDistances() {
        let found = BinaryClusters([[0], [0, 1]], width: 2, count: 1, seed: 0)
        // The centre is (1, 1/2).
        #expect(abs(found.inertia - 0.5) < 1e-9)
    }
}
