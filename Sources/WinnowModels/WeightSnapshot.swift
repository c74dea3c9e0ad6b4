/// The weights of a model at a moment, so that what changes them can be undone. Values are shared, not copied.
public struct WeightSnapshot {
    private var values: [(parameter: Parameter, value: Parameter.Value)] = []

    public init(_ model: LanguageModel) { model.visit { values.append(($0, $0.value)) } }

    /// Puts every weight back; nothing is done where it still stands.
    public func restore() {
        for (parameter, value) in values { parameter.restore(value) }
    }
}
