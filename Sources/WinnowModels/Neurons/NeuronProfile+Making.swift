import WinnowCore
import WinnowText

extension NeuronProfile {
    /// The share of a block's neurons that stands for a text: the paper's 3,000 of 11,008, about a quarter.
    public static let signatureShare = 0.25

    /// Counts the neurons that texts use, and clusters the texts.
    ///
    /// - Parameter windows: tokens of each text; a step of the runner may take several.
    /// - Parameter predicate: its beta is the share that stands for a text, ``signatureShare`` by default.
    /// - Parameter textSha256: of the text that the windows were drawn from.
    /// - Parameter progress: called with the texts done and their number.
    /// - Throws: ``NeuronError``, ``ModelError``.
    public init(
        counting windows: [[TokenID]], with predicate: NeuronPredicate, on runner: ModelRunner,
        textSha256: String, cancellation: CancellationFlag? = nil, progress: (Int, Int) -> Void = { _, _ in }
    ) throws {
        let model = runner.model
        let count = model.configuration.layers
        let scope = try NeuronScope(model, layers: 0...count - 1)
        guard let longest = windows.map(\.count).max(), longest > 0 else { throw ModelError.emptyPrompt }
        let deep = NeuronProfile.deepLayer(of: count)
        let sequence = runner.makeSequence(capacity: longest)
        var texts: [[NeuronCounts]] = []
        for (index, window) in windows.enumerated() {
            let counter = NeuronCounter(
                model, predicate, layers: scope.layers, tokens: window.count, on: runner.pool)
            sequence.reset()
            try runner.read(window[...], into: sequence, counting: counter, cancellation: cancellation)
            texts.append(try counter.counts())
            progress(index + 1, windows.count)
        }
        func merged(_ some: [[NeuronCounts]]) -> [[Int]] {
            (0..<count).map { layer in
                var sum = NeuronCounts(width: scope.widths[layer])
                for text in some { sum.merge(text[layer]) }
                return sum.ranking
            }
        }
        let signatures = texts.map { NeuronProfile.signature(of: $0[deep], predicate).indices }
        let found = BinaryClusters(signatures, width: scope.widths[deep])
        let clusters = found.centres.indices.compactMap { cluster -> Cluster? in
            let own = texts.indices.filter { found.members[$0] == cluster }.map { texts[$0] }
            guard !own.isEmpty else { return nil }
            return Cluster(centre: found.centres[cluster], rankings: merged(own), texts: own.count)
        }
        self.init(
            predicate: predicate, widths: scope.widths, rankings: merged(texts), clusterLayer: deep,
            clusters: clusters, tokens: windows.reduce(0) { $0 + $1.count }, textSha256: textSha256,
            modelSha256: NeuronProfile.modelDigest(model))
    }
}
