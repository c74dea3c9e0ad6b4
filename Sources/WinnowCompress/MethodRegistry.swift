import WinnowJSON

/// The methods that recipes and `--method` name.
public struct MethodRegistry: Sendable {
    public struct Entry: Sendable {
        public let name: String
        public let paper: PaperReference?
        /// Whether it must see activations.
        public let needsCalibration: Bool
        private let build: @Sendable (JSONObject) throws -> any LayerMethod

        init<Method: LayerMethod>(_ method: Method.Type, needsCalibration: Bool) {
            name = method.name
            paper = method.paper
            self.needsCalibration = needsCalibration
            build = { try Method(Method.Configuration($0)) }
        }

        /// - Parameter settings: keys of the method's configuration.
        /// - Throws: ``ConfigurationError``.
        public func make(_ settings: JSONObject) throws -> any LayerMethod { try build(settings) }
    }

    public let entries: [Entry]

    /// Every method that comes with Winnow.
    public static let standard = MethodRegistry(entries: [
        Entry(Magnitude.self, needsCalibration: false),
        Entry(Wanda.self, needsCalibration: true),
    ])

    /// - Throws: ``ConfigurationError/unknownMethod(name:known:)``.
    public func entry(_ name: String) throws(ConfigurationError) -> Entry {
        guard let entry = entries.first(where: { $0.name == name }) else {
            throw .unknownMethod(name: name, known: entries.map(\.name))
        }
        return entry
    }
}
