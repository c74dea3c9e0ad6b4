import CWinnow
import WinnowCore

extension ModelRunner {
    /// x += mixture(norm(x)) over the step's rows: route, gather, two grouped products, combine.
    ///
    /// Only the matrices of experts that some row goes to are read.
    func runMixture(
        _ mixture: BoundMixture, layer: Int, norm: BoundNorm?, observer: ((TapValues) -> Void)?,
        lastStage: Int
    ) {
        let space = space
        let rows = rows
        let width = model.configuration.width
        pool.inRows(rows) { range in
            let offset = range.lowerBound * width
            if let norm {
                norm.apply(
                    space.hidden + offset, into: space.branch + offset, rows: range.count, columns: width)
            } else {
                (space.branch + offset).update(from: space.hidden + offset, count: range.count * width)
            }
        }
        if let observer, mixture.shared != nil {
            observe(.feedForwardInput, space.branch, width, rows: rows, observer)
        }
        for input in mixture.inputs { input.fill(space.branch, stride: width, tokens: rows, on: pool) }
        stepClock?.lap(.inputs, block: layer)
        mixture.scores.run(on: pool)
        stepClock?.lap(.router, block: layer)

        let dispatch = space.dispatch
        dispatch.route(space.expertScores, rows: rows, experts: mixture.count, by: mixture.choice)
        dispatch.gather(space.branch, into: space.expertRows, rows: rows, width: width, on: pool)
        let pairs = rows * mixture.choice.used
        observeExperts(TapPoint.expertInput, space.expertRows, width, mixture.count, observer)
        if lastStage == TapPoint.feedForwardInput.stage { return }
        for input in mixture.expertInputs {
            input.fill(space.expertRows, stride: width, tokens: pairs, on: pool)
        }
        stepClock?.lap(.inputs, block: layer)
        mixture.gateUp.run(offsets: dispatch.offsets, on: pool)
        stepClock?.lap(.gateUp, block: layer)
        observeExperts(
            TapPoint.expertHidden, space.expertHidden, mixture.hiddenWidth, mixture.count, observer)
        if let observer, let shared = mixture.shared {
            observe(.feedForwardHidden, space.gated, shared.width, rows: rows, observer)
        }
        if lastStage == TapPoint.feedForwardHidden.stage { return }
        for input in mixture.hiddenInputs {
            input.fill(space.expertHidden, stride: mixture.hiddenWidth, tokens: pairs, on: pool)
        }
        stepClock?.lap(.inputs, block: layer)
        mixture.down.run(offsets: dispatch.offsets, on: pool)
        stepClock?.lap(.down, block: layer)
        dispatch.combine(space.expertRows, into: space.hidden, rows: rows, width: width, on: pool)
        stepClock?.lap(.inputs, block: layer)

        guard let shared = mixture.shared else { return }
        for input in shared.downInputs {
            input.fill(space.gated, stride: shared.width, tokens: rows, on: pool)
        }
        stepClock?.lap(.inputs, block: layer)
        shared.down.run(on: pool)
        stepClock?.lap(.down, block: layer)
        for row in 0..<rows {
            let share = 1 / (1 + wn_exp(-space.sharedScores[row]))
            wn_add_scaled(space.hidden + row * width, space.branch + row * width, share, width)
        }
    }

    private func observeExperts(
        _ point: (Int) -> TapPoint, _ base: UnsafePointer<Float>, _ width: Int, _ count: Int,
        _ observer: ((TapValues) -> Void)?
    ) {
        guard let observer else { return }
        let offsets = space.dispatch.offsets
        for expert in 0..<count where offsets[expert + 1] > offsets[expert] {
            let first = Int(offsets[expert])
            observe(
                point(expert), base + first * width, width, rows: Int(offsets[expert + 1]) - first, observer)
        }
    }
}
