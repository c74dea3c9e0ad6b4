import WinnowIO
import WinnowModels
import WinnowText

/// Where guesses come from.
public enum DraftSource: Sendable, Equatable {
    /// The text so far (``PromptLookup``).
    case prompt
    /// A folder or GGUF file with the same vocabulary (``ModelDrafter``).
    case model(path: String)

    /// - Throws: ``GenerationError/otherVocabulary(draft:)``, or the error of the reader that refused the draft.
    func open(
        for runner: ModelRunner, _ tokenizer: Tokenizer, _ configuration: ModelRunner.Configuration,
        context: Int?
    ) throws -> any Drafter {
        switch self {
        case .prompt: return PromptLookup()
        case .model(let path):
            let loaded = try LoadedModel(opening: path)
            try loaded.model.requireHead()
            guard
                loaded.model.configuration.vocabularySize == runner.model.configuration.vocabularySize,
                loaded.tokenizer.hasSameIDs(as: tokenizer)
            else { throw GenerationError.otherVocabulary(draft: path) }
            return ModelDrafter(
                try ModelRunner(loaded.model, configuration, sharing: runner.pool), context: context)
        }
    }
}

extension Tokenizer {
    /// Whether an id stands for the same text in both.
    func hasSameIDs(as other: Tokenizer) -> Bool {
        definition.tokens == other.definition.tokens
            && definition.addedTokens.map(\.content) == other.definition.addedTokens.map(\.content)
    }
}
