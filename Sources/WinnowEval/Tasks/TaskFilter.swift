import WinnowText

/// What is done to an answer before it is scored.
public enum TaskFilter: Sendable, Equatable {
    /// What a regular expression finds: the `group`-th find, of its groups the first that is not empty.
    case regex(pattern: String, group: Int, fallback: String)
    case removeWhitespace
    case lowercase
    case uppercase
    /// The first of several answers: there is one.
    case takeFirst

    /// Filters one after another; a task scores once for each pipeline.
    public struct Pipeline: Sendable, Equatable {
        public var name: String
        public var filters: [TaskFilter]

        /// - Throws: a regular expression's error; ``EvaluationTask`` has tried it before.
        func apply(_ text: String) throws -> String {
            try filters.reduce(text) { text, filter in try filter.apply(text) }
        }
    }

    private func apply(_ text: String) throws -> String {
        switch self {
        case .regex(let pattern, let group, let fallback):
            let finds = text.matches(of: try Regex(pattern))
            let place = group < 0 ? finds.count + group : group
            guard finds.indices.contains(place) else { return fallback }
            // Python's findall: the whole where there is no group, the group where there is one, else all of them.
            let parts = finds[place].output.map { $0.substring.map(String.init) ?? "" }
            let found =
                parts.count == 1
                ? parts[0] : parts.count == 2 ? parts[1] : parts.dropFirst().first { !$0.isEmpty }
            return found.map { $0.pythonStripped() } ?? fallback
        case .removeWhitespace: return text.pythonStripped()
        case .lowercase: return text.lowercased()
        case .uppercase: return text.uppercased()
        case .takeFirst: return text
        }
    }
}

extension String {
    /// Without the white space around it.
    func pythonStripped() -> String {
        var scalars = Substring(self).unicodeScalars
        while let first = scalars.first, first.isPythonSpace { scalars.removeFirst() }
        while let last = scalars.last, last.isPythonSpace { scalars.removeLast() }
        return String(scalars)
    }
}
