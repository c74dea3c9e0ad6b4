extension TransformerBlock {
    /// The same block over other parameters: one that stands in several places is asked for once.
    func replacing(_ replacement: (Parameter) -> Parameter) -> TransformerBlock {
        var made: [ObjectIdentifier: Parameter] = [:]
        func own(_ parameter: Parameter) -> Parameter {
            if let done = made[ObjectIdentifier(parameter)] { return done }
            let new = replacement(parameter)
            made[ObjectIdentifier(parameter)] = new
            return new
        }
        func own(_ linear: Linear) -> Linear {
            Linear(own(linear.weight), bias: linear.bias.map(own), rows: linear.rows)
        }
        func own(_ network: FeedForward) -> FeedForward {
            FeedForward(
                gate: network.gate.map(own), up: own(network.up), down: own(network.down),
                activation: network.activation)
        }
        let attention = SelfAttention(
            query: own(attention.query), key: own(attention.key), value: own(attention.value),
            queryNorm: attention.queryNorm, keyNorm: attention.keyNorm, output: own(attention.output))
        let mixture = mixture.map {
            MixtureOfExperts(
                router: own($0.router), choice: $0.choice, experts: $0.experts.map(own),
                shared: $0.shared.map(own), sharedRouter: $0.sharedRouter.map(own))
        }
        return TransformerBlock(
            attentionNorm: attentionNorm, attention: attention, postAttentionNorm: postAttentionNorm,
            feedForwardNorm: feedForwardNorm, feedForward: feedForward.map(own), mixture: mixture,
            postFeedForwardNorm: postFeedForwardNorm, normPlacement: normPlacement)
    }
}
