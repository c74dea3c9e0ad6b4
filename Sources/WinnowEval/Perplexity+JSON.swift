import WinnowJSON

extension Perplexity.Result {
    /// Everything under the keys that commands and files have.
    ///
    /// - Parameter textSha256: of the text that was scored.
    public func json(textSha256: String) -> JSONObject {
        JSONObject([
            ("perplexity", .number(perplexity)), ("standardError", .number(standardError)),
            ("nll", .number(negativeLogLikelihood)), ("tokens", .integer(Int64(tokens))),
            ("scoredTokens", .integer(Int64(scoredTokens))), ("windows", .integer(Int64(windows))),
            ("window", .integer(Int64(window))), ("score", .string(score.rawValue)), ("bos", .bool(bos)),
            ("activations", .string(activations.rawValue)), ("textSha256", .string(textSha256)),
            ("tokensPerSecond", .number(tokensPerSecond)),
        ])
    }
}
