/// Python's `random.Random`, as far as examples of tasks are drawn with it: MT19937 seeded by a small number (Matsumoto
/// and Nishimura's `init_by_array`), `getrandbits`, `sample`, `random`, `choices`.
struct PythonRandom {
    private var state = [UInt32](repeating: 0, count: 624)
    private var index = 624

    /// - Parameter seed: as `random.seed(seed)`.
    init(seed: UInt32) {
        state[0] = 19_650_218
        for i in 1..<624 { state[i] = 1_812_433_253 &* (state[i - 1] ^ (state[i - 1] >> 30)) &+ UInt32(i) }
        var i = 1
        for _ in 0..<624 {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) &* 1_664_525)) &+ seed
            i += 1
            if i == 624 { (state[0], i) = (state[623], 1) }
        }
        for _ in 0..<623 {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) &* 1_566_083_941)) &- UInt32(i)
            i += 1
            if i == 624 { (state[0], i) = (state[623], 1) }
        }
        state[0] = 0x8000_0000
    }

    mutating func next() -> UInt32 {
        if index == 624 {
            for i in 0..<624 {
                let y = (state[i] & 0x8000_0000) | (state[(i + 1) % 624] & 0x7FFF_FFFF)
                state[i] = state[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 == 0 ? 0 : 0x9908_B0DF)
            }
            index = 0
        }
        var y = state[index]
        index += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C_5680
        y ^= (y << 15) & 0xEFC6_0000
        return y ^ (y >> 18)
    }

    /// Less than `bound`, at least 1 and less than 2^32.
    private mutating func below(_ bound: Int) -> Int {
        let bits = Int.bitWidth - bound.leadingZeroBitCount
        while true {
            let value = Int(next() >> UInt32(32 - bits))
            if value < bound { return value }
        }
    }

    /// `random()`: 53 bits, 0 up to, not including, 1.
    mutating func uniform() -> Double {
        let (high, low) = (next() >> 5, next() >> 6)
        return (Double(high) * 67_108_864 + Double(low)) / 9_007_199_254_740_992
    }

    /// A place out of `0..<population`, as `choices` draws each.
    mutating func choice(_ population: Int) -> Int { Int(uniform() * Double(population)) }

    /// `count` places out of `0..<population`, in the order that `random.sample` draws them.
    mutating func sample(_ population: Int, count: Int) -> [Int] {
        precondition(count <= population, "\(count) of \(population)")
        var setSize = 21
        if count > 5 {
            var power = 1
            while power < count * 3 { power *= 4 }
            setSize += power
        }
        if population <= setSize {
            var pool = Array(0..<population)
            return (0..<count).map { i in
                let j = below(population - i)
                defer { pool[j] = pool[population - i - 1] }
                return pool[j]
            }
        }
        var selected: Set<Int> = []
        return (0..<count).map { _ in
            var j = below(population)
            while !selected.insert(j).inserted { j = below(population) }
            return j
        }
    }
}
