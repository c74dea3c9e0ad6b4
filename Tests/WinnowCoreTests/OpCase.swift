import WinnowCore

#if canImport(Glibc)
    import Glibc
#endif

/// An op with small inputs, its float32 code and a naive float64 twin: drives values and gradients of all of
/// them.
struct OpCase: CustomStringConvertible, Sendable {
    let name: String
    /// Shapes of the inputs that gradients flow to.
    let shapes: [[Int]]
    /// What inputs are drawn from; ReLU keeps away from its corner.
    var range: ClosedRange<Float> = -1.5...1.5
    let run: @Sendable (OpContext, [Variable]) -> Variable
    let twin: @Sendable ([[Double]]) -> [Double]

    var description: String { name }

    static let all: [OpCase] =
        linears + columnLinears + norms + gates + arithmetic + lookups + ropes + mixtures + attentions
        + losses
}

private func matmul(_ x: [Double], _ w: [Double], inputs: Int, rows: Range<Int>) -> [Double] {
    (0..<x.count / inputs).flatMap { t in
        rows.map { r in (0..<inputs).reduce(0) { $0 + x[t * inputs + $1] * w[r * inputs + $1] } }
    }
}

extension OpCase {
    fileprivate static var linears: [OpCase] {
        [(1, 1, 1), (3, 31, 33), (37, 17, 5), (7, 300, 20)].map { tokens, inputs, outputs in
            OpCase(
                name: "linear \(tokens)x\(inputs)->\(outputs)",
                shapes: [[tokens, inputs], [outputs, inputs]]
            ) {
                $0.linear($1[0], $1[1])
            } twin: {
                matmul($0[0], $0[1], inputs: inputs, rows: 0..<outputs)
            }
        } + [
            OpCase(name: "linear with bias and residual", shapes: [[5, 9], [7, 9], [7], [5, 7]]) {
                $0.linear($1[0], $1[1], bias: $1[2], residual: $1[3])
            } twin: { v in
                matmul(v[0], v[1], inputs: 9, rows: 0..<7).enumerated().map { $1 + v[2][$0 % 7] + v[3][$0] }
            },
            OpCase(name: "linear of some rows", shapes: [[4, 6], [9, 6], [9]]) { context, v in
                context.add(
                    context.linear(v[0], v[1], bias: v[2], rows: 2..<5),
                    context.linear(v[0], v[1], bias: v[2], rows: 6..<9))
            } twin: { v in
                let first = matmul(v[0], v[1], inputs: 6, rows: 2..<5)
                let second = matmul(v[0], v[1], inputs: 6, rows: 6..<9)
                return first.indices.map { first[$0] + second[$0] + v[2][2 + $0 % 3] + v[2][6 + $0 % 3] }
            },
        ]
    }

    fileprivate static var columnLinears: [OpCase] {
        let columns: [Int32] = [0, 3, 4, 8]
        let some = OpCase(name: "linear of some columns", shapes: [[5, 9], [7, 9], [7], [5, 4]]) {
            $0.linear($1[0], $1[1], bias: $1[2], rows: 2..<6, residual: $1[3], columns: columns)
        } twin: { v in
            let few: [Double] = v[1].indices.map { columns.contains(Int32($0 % 9)) ? v[1][$0] : 0 }
            let product: [Double] = matmul(v[0], few, inputs: 9, rows: 2..<6)
            return product.indices.map { product[$0] + v[2][2 + $0 % 4] + v[3][$0] }
        }
        let none = OpCase(name: "linear of no columns", shapes: [[3, 5], [4, 5]]) { context, v in
            context.add(context.linear(v[0], v[1], columns: []), context.linear(v[0], v[1], columns: [2]))
        } twin: { v in
            (0..<12).map { (index: Int) -> Double in v[0][index / 4 * 5 + 2] * v[1][index % 4 * 5 + 2] }
        }
        return [some, none]
    }

    fileprivate static var norms: [OpCase] {
        [1, 31, 257].flatMap { width in
            [
                OpCase(name: "rms norm \(width)", shapes: [[3, width], [width]]) {
                    $0.rmsNorm($1[0], $1[1], epsilon: 1e-5, offset: width == 31 ? 1 : 0)
                } twin: { v in
                    (0..<3).flatMap { t -> [Double] in
                        let row = Array(v[0][t * width..<(t + 1) * width])
                        let scale = 1 / (row.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-5).squareRoot()
                        return row.indices.map { row[$0] * scale * (v[1][$0] + (width == 31 ? 1 : 0)) }
                    }
                }
            ]
        }
            + [7, 33].map { width in
                OpCase(name: "layer norm \(width)", shapes: [[5, width], [width], [width]]) {
                    $0.layerNorm($1[0], $1[1], bias: $1[2], epsilon: 1e-5)
                } twin: { v in
                    (0..<5).flatMap { t -> [Double] in
                        let row = Array(v[0][t * width..<(t + 1) * width])
                        let mean = row.reduce(0, +) / Double(width)
                        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
                        let scale = 1 / (variance + 1e-5).squareRoot()
                        return row.indices.map { (row[$0] - mean) * scale * v[1][$0] + v[2][$0] }
                    }
                }
            }
    }

    fileprivate static var gates: [OpCase] {
        GateKind.allCases.flatMap { kind in
            [true, false].map { gated in
                OpCase(
                    name: "\(kind)\(gated ? " gate" : "")", shapes: gated ? [[3, 11], [3, 11]] : [[33]],
                    range: kind == .relu ? 0.1...1.5 : -3...3
                ) { context, v in
                    // ReLU on both sides of its corner, which finite differences must not step over.
                    let x = kind == .relu ? context.scale(v[0], by: -1) : v[0]
                    let on = context.gate(kind, v[0], times: gated ? v[1] : nil)
                    return context.add(on, context.gate(kind, x, times: gated ? v[1] : nil), scale: 0.5)
                } twin: { v in
                    func act(_ x: Double) -> Double {
                        switch kind {
                        case .silu: x / (1 + exp(-x))
                        case .gelu:
                            0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
                        case .relu: max(x, 0)
                        case .exactGELU: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
                        }
                    }
                    return v[0].indices.map {
                        let x = v[0][$0]
                        return (act(x) + 0.5 * act(kind == .relu ? -x : x)) * (gated ? v[1][$0] : 1)
                    }
                }
            }
        }
    }

    fileprivate static var arithmetic: [OpCase] {
        [
            OpCase(name: "add", shapes: [[33], [33]]) {
                $0.add($1[0], $1[1], scale: -0.5)
            } twin: { v in
                zip(v[0], v[1]).map { $0 - 0.5 * $1 }
            },
            OpCase(name: "scale", shapes: [[5, 7]]) {
                $0.scale($1[0], by: 3)
            } twin: {
                $0[0].map { 3 * $0 }
            },
            OpCase(name: "soft cap", shapes: [[3, 11]]) {
                $0.softCapped($1[0], cap: 2)
            } twin: { v in
                v[0].map { 2 * tanh($0 / 2) }
            },
            OpCase(name: "multiply", shapes: [[31], [31]]) {
                $0.multiply($1[0], $1[1])
            } twin: { v in
                zip(v[0], v[1]).map { $0 * $1 }
            },
            OpCase(name: "one value used three times", shapes: [[9]]) { context, v in
                context.multiply(context.add(v[0], v[0]), context.scale(v[0], by: 0.5))
            } twin: {
                $0[0].map { $0 * $0 }
            },
            OpCase(name: "sigmoid", shapes: [[13]]) {
                $0.sigmoid($1[0])
            } twin: {
                $0[0].map { 1 / (1 + exp(-$0)) }
            },
            OpCase(name: "recomputed", shapes: [[4, 5], [6, 5]]) { context, v in
                context.recomputed(v[0]) { context.gate(.silu, context.linear($0, v[1])) }
            } twin: { v in
                matmul(v[0], v[1], inputs: 5, rows: 0..<6).map { $0 / (1 + exp(-$0)) }
            },
        ]
    }

    fileprivate static var lookups: [OpCase] {
        [
            OpCase(name: "embedding", shapes: [[5, 7], [4, 7]]) {
                $0.embedding($1[0], ids: [3, 0, 3, 4], scale: 2, addedTo: $1[1])
            } twin: { v in
                [3, 0, 3, 4].enumerated().flatMap { token, id in
                    (0..<7).map { 2 * v[0][id * 7 + $0] + v[1][token * 7 + $0] }
                }
            }
        ]
    }

    fileprivate static var ropes: [OpCase] {
        [true, false].flatMap { interleaved -> [OpCase] in
            let positions: [Int32] = [0, 1, 5]
            let angles = (0..<6).map { p in (0..<3).map { Double(p) * pow(100, -Double($0) / 3) } }
            let table = angles.flatMap { $0.map { Float(cos($0)) } + $0.map { Float(sin($0)) } }
            let narrow = (0..<6).flatMap { p in [Float(cos(Double(p))), Float(sin(Double(p)))] }
            let part = OpCase(name: "rope of a part\(interleaved ? " interleaved" : "")", shapes: [[3, 12]]) {
                $0.rope(
                    $1[0],
                    RotaryPositions(
                        table: narrow, positions: positions, headWidth: 6, rotaryWidth: 2,
                        isInterleaved: interleaved))
            } twin: { v in
                var y = v[0]
                for (token, position) in positions.enumerated() {
                    for at in [token * 12, token * 12 + 6] {
                        let angle = Double(position)
                        y[at] = v[0][at] * cos(angle) - v[0][at + 1] * sin(angle)
                        y[at + 1] = v[0][at] * sin(angle) + v[0][at + 1] * cos(angle)
                    }
                }
                return y
            }
            let whole = OpCase(name: "rope\(interleaved ? " interleaved" : "")", shapes: [[3, 12]]) {
                $0.rope(
                    $1[0],
                    RotaryPositions(
                        table: table, positions: positions, headWidth: 6, isInterleaved: interleaved))
            } twin: { v in
                var y = v[0]
                for (token, position) in positions.enumerated() {
                    for head in 0..<2 {
                        for pair in 0..<3 {
                            let at = token * 12 + head * 6
                            let (i, j) =
                                interleaved ? (at + 2 * pair, at + 2 * pair + 1) : (at + pair, at + pair + 3)
                            let angle = angles[Int(position)][pair]
                            y[i] = v[0][i] * cos(angle) - v[0][j] * sin(angle)
                            y[j] = v[0][i] * sin(angle) + v[0][j] * cos(angle)
                        }
                    }
                }
                return y
            }
            return [whole, part]
        }
    }

    fileprivate static var mixtures: [OpCase] {
        let chosen: [Int32] = [2, 0, 1, 4, 0, 3]
        @Sendable func weights(_ scores: [Double], _ renormalises: Bool) -> [Double] {
            (0..<3).flatMap { token -> [Double] in
                let row = scores[token * 5..<(token + 1) * 5].map { exp($0) }
                let own = (0..<2).map { row[Int(chosen[token * 2 + $0])] }
                let sum = renormalises ? own.reduce(0, +) : row.reduce(0, +)
                return own.map { $0 / sum }
            }
        }
        let shares = [true, false].map { renormalises in
            OpCase(name: "weights of experts\(renormalises ? ", of the chosen" : "")", shapes: [[3, 5]]) {
                $0.expertWeights($1[0], chosen: chosen, used: 2, renormalises: renormalises)
            } twin: {
                weights($0[0], renormalises)
            }
        }
        return shares + [
            OpCase(name: "weighted rows", shapes: [[4, 3], [5], [2, 3], [3, 3]]) { context, v in
                let parts = [
                    WeightedRows(v[2], targets: [1, 3], weights: [4, 0]),
                    WeightedRows(v[3], targets: [3, 0, 3], weights: [1, 2, 2]),
                ]
                return context.adding(parts, to: v[0], weights: v[1])
            } twin: { v in
                var y = v[0]
                for (rows, row, target, weight) in [
                    (2, 0, 1, 4), (2, 1, 3, 0), (3, 0, 3, 1), (3, 1, 0, 2), (3, 2, 3, 2),
                ] {
                    for c in 0..<3 { y[target * 3 + c] += v[1][weight] * v[rows][row * 3 + c] }
                }
                return y
            }
        ]
    }

    fileprivate static var attentions: [OpCase] {
        func shape(
            _ sequences: Int, _ length: Int, _ heads: Int, _ keyValueHeads: Int, _ width: Int, cap: Float = 0,
            window: Int? = nil, starts: [Int32]? = nil
        ) -> AttentionShape {
            var shape = AttentionShape(
                sequences: sequences, length: length, heads: heads, keyValueHeads: keyValueHeads,
                headWidth: width)
            shape.cap = cap
            shape.window = window
            shape.starts = starts
            return shape
        }
        let shapes = [
            shape(1, 1, 1, 1, 3), shape(2, 9, 4, 2, 5), shape(1, 70, 2, 1, 8), shape(2, 6, 2, 2, 16, cap: 2),
            shape(1, 131, 1, 1, 4, window: 3), shape(1, 67, 1, 1, 4, cap: 1, window: 66),
            shape(2, 8, 2, 1, 4, starts: [0, 0, 0, 3, 3, 3, 6, 6, 0, 1, 1, 1, 1, 1, 1, 7]),
        ]
        return shapes.map { s in
            let tokens = s.sequences * s.length
            let (q, k) = ([tokens, s.heads * s.headWidth], [tokens, s.keyValueHeads * s.headWidth])
            let name =
                "attention \(s.sequences)x\(s.length) heads \(s.heads)/\(s.keyValueHeads) of \(s.headWidth)"
                + " cap \(s.cap) window \(s.window ?? 0)\(s.starts == nil ? "" : " documents")"
            return OpCase(name: name, shapes: [q, k, k]) {
                $0.attention($1[0], $1[1], $1[2], s)
            } twin: { v in
                attend(v[0], v[1], v[2], s)
            }
        }
    }

    private static func attend(_ q: [Double], _ k: [Double], _ v: [Double], _ s: AttentionShape) -> [Double] {
        let (width, keyWidth) = (s.heads * s.headWidth, s.keyValueHeads * s.headWidth)
        var out = [Double](repeating: 0, count: q.count)
        for token in 0..<s.sequences * s.length {
            let (sequence, position) = (token / s.length, token % s.length)
            for head in 0..<s.heads {
                let own = token * width + head * s.headWidth
                let shared = head / (s.heads / s.keyValueHeads) * s.headWidth
                var first = s.starts.map { Int($0[token]) } ?? 0
                if let window = s.window { first = max(first, position + 1 - window) }
                let seen = (first...position).map { (sequence * s.length + $0) * keyWidth + shared }
                var scores = seen.map { at in
                    (0..<s.headWidth).reduce(0) { $0 + q[own + $1] * k[at + $1] }
                        / Double(s.headWidth).squareRoot()
                }
                if s.cap > 0 { scores = scores.map { Double(s.cap) * tanh($0 / Double(s.cap)) } }
                let total = scores.reduce(0) { $0 + exp($1) }
                for (score, at) in zip(scores, seen) {
                    for c in 0..<s.headWidth { out[own + c] += exp(score) / total * v[at + c] }
                }
            }
        }
        return out
    }

    fileprivate static var losses: [OpCase] {
        @Sendable func logProbabilities(
            _ hidden: [Double], _ head: [Double], _ width: Int, cap: Double = 0, t: Double = 1
        )
            -> [[Double]]
        {
            let vocabulary = head.count / width
            let logits = matmul(hidden, head, inputs: width, rows: 0..<vocabulary)
                .map { (cap > 0 ? cap * tanh($0 / cap) : $0) / t }
            return (0..<hidden.count / width).map { token in
                let row = Array(logits[token * vocabulary..<(token + 1) * vocabulary])
                let sum = log(row.reduce(0) { $0 + exp($1) })
                return row.map { $0 - sum }
            }
        }
        let targets = LossTargets(ids: [3, -1, 16, 0], weights: [0.5, 7, 1, 0.25])
        let entropies = [Float(0), 2].map { cap in
            OpCase(name: "cross-entropy cap \(cap)", shapes: [[4, 5], [17, 5]]) {
                $0.crossEntropy($1[0], head: $1[1], targets, cap: cap)
            } twin: { v in
                let rows = logProbabilities(v[0], v[1], 5, cap: Double(cap))
                return [-0.5 * rows[0][3] - rows[2][16] - 0.25 * rows[3][0]]
            }
        }
        let distillations = [(own: Float(0), teacher: Float(0)), (1.5, 0.75)].map { cap in
            OpCase(name: "distillation, caps \(cap.own) and \(cap.teacher)", shapes: [[3, 5], [19, 5]]) {
                $0.distillation(
                    $1[0], head: $1[1], teacherHidden: Tensor(teacherHidden, shape: [3, 4]),
                    teacherHead: Tensor(teacherHead, shape: [19, 4]), temperature: 2, weights: [1, 0, 0.5],
                    cap: cap.own, teacherCap: cap.teacher)
            } twin: { v in
                let student = logProbabilities(v[0], v[1], 5, cap: Double(cap.own), t: 2)
                let teacher = logProbabilities(
                    teacherHidden.map(Double.init), teacherHead.map(Double.init), 4,
                    cap: Double(cap.teacher), t: 2)
                let each = zip(student, teacher).map { s, t in
                    4 * zip(s, t).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) }
                }
                return [each[0] + 0.5 * each[2]]
            }
        }
        let many = [Int32](unsafeUninitializedCapacity: 300) { ids, count in
            for index in 0..<300 { ids[index] = Int32(index * 7 % 33) }
            count = 300
        }
        return entropies + distillations + [
            OpCase(name: "cross-entropy in runs of rows", shapes: [[300, 3], [33, 3]]) {
                $0.crossEntropy($1[0], head: $1[1], LossTargets(meanOf: many))
            } twin: { v in
                let rows = logProbabilities(v[0], v[1], 3)
                return [-zip(rows, many).reduce(0) { $0 + $1.0[Int($1.1)] } / 300]
            },
            OpCase(name: "square head", shapes: [[3, 4]]) {
                $0.squareHead(
                    $1[0], teacher: Tensor(teacherHidden, shape: [3, 4]), counts: [true, false, true])
            } twin: { v in
                let (s, t) = (v[0], teacherHidden.map(Double.init))
                let counted = [0, 1, 2, 3, 8, 9, 10, 11]
                let difference = counted.reduce(0) { $0 + (s[$1] - t[$1]) * (s[$1] - t[$1]) } / 8
                return [difference / (counted.reduce(0) { $0 + t[$1] * t[$1] } / 8 + 0.0078125)]
            },
        ]
    }

    private static let teacherHidden: [Float] = (0..<12).map { Float($0 * 7 % 5) * 0.3 - 0.5 }
    private static let teacherHead: [Float] = (0..<76).map { Float($0 * 11 % 13) * 0.2 - 1 }
}
