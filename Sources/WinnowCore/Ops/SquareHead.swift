extension OpContext {
    /// mean((s - t)^2) / (mean(t^2) + epsilon) over the tokens that count: how far hidden states are from a
    /// teacher's.
    ///
    /// - Source: SquareHead, arXiv 2310.06927; epsilon is 2^-7 there.
    /// - Parameter counts: which tokens; padding does not.
    public func squareHead(
        _ student: Variable, teacher: Tensor, counts: [Bool], weight: Float = 1, epsilon: Float = 0x1p-7
    ) -> Variable {
        let width = student.count / counts.count
        precondition(
            teacher.count == student.count && width * counts.count == student.count,
            "student \(student.shape), teacher \(teacher.shape), \(counts.count) tokens")
        var (squares, differences, tokens) = (0.0, 0.0, 0)
        for (token, isCounted) in counts.enumerated() where isCounted {
            tokens += 1
            for index in token * width..<(token + 1) * width {
                let t = Double(teacher.floatBase[index])
                let d = Double(student.base[index]) - t
                squares += t * t
                differences += d * d
            }
        }
        let number = Double(max(tokens * width, 1))
        let divisor = squares / number + Double(epsilon)
        let out = block(1)
        out.base[0] = Float(Double(weight) * differences / number / divisor)
        let slope = Float(Double(weight) * 2 / number / divisor)
        let node = records([student]) ? SquareHeadNode(self, student, teacher, counts, slope: slope) : nil
        return output(out, [1], node)
    }
}

private final class SquareHeadNode: TapeNode {
    private let teacher: Tensor
    private let counts: [Bool]
    private let slope: Float

    init(_ context: OpContext, _ student: Variable, _ teacher: Tensor, _ counts: [Bool], slope: Float) {
        self.teacher = teacher
        self.counts = counts
        self.slope = slope
        super.init(context, inputs: [student], outputCount: 1)
    }

    override func backward(_ gradient: FloatBlock, _ context: OpContext) {
        let student = inputs[0]
        let width = student.count / counts.count
        let scale = slope * gradient.base[0]
        student.addGradient(context) { into, adding in
            for (token, isCounted) in counts.enumerated() {
                for index in token * width..<(token + 1) * width {
                    let d = isCounted ? scale * (student.base[index] - teacher.floatBase[index]) : 0
                    into[index] = adding ? into[index] + d : d
                }
            }
        }
    }
}
