import WinnowJSON

/// The methods that recipes and `--method` name.
public struct MethodRegistry: Sendable {
    public struct Entry: Sendable {
        public let name: String
        public let paper: PaperReference?
        public let purpose: Purpose
        /// Whether it must see activations.
        public let needsCalibration: Bool
        private let build: @Sendable (JSONObject) throws -> any LayerMethod

        public init<Method: LayerMethod>(
            _ method: Method.Type, _ purpose: Purpose = .pruning, needsCalibration: Bool
        ) {
            self.purpose = purpose
            name = method.name
            paper = method.paper
            self.needsCalibration = needsCalibration
            build = { try Method(Method.Configuration($0)) }
        }

        /// - Parameter settings: keys of the method's configuration.
        /// - Throws: ``ConfigurationError``.
        public func make(_ settings: JSONObject) throws -> any LayerMethod { try build(settings) }
    }

    /// What a method is for.
    public enum Purpose: Sendable {
        case pruning, quantization
    }

    public let entries: [Entry]

    public init(entries: [Entry]) { self.entries = entries }

    /// The names of the methods for a purpose.
    public func names(_ purpose: Purpose) -> [String] { entries.filter { $0.purpose == purpose }.map(\.name) }

    /// Every method that comes with Winnow.
    public static let standard = MethodRegistry(entries: [
        Entry(Magnitude.self, needsCalibration: false),
        Entry(Wanda.self, needsCalibration: true),
        Entry(SparseGPT.self, needsCalibration: true),
        Entry(DSnoT.self, needsCalibration: true),
        Entry(RTN.self, .quantization, needsCalibration: false),
        Entry(GPTQ.self, .quantization, needsCalibration: true),
        Entry(AWQ.self, .quantization, needsCalibration: true),
        Entry(SmoothQuant.self, .quantization, needsCalibration: true),
    ])

    /// - Throws: ``ConfigurationError/unknownMethod(name:known:)``.
    public func entry(_ name: String) throws(ConfigurationError) -> Entry {
        guard let entry = entries.first(where: { $0.name == name }) else {
            throw .unknownMethod(name: name, known: entries.map(\.name))
        }
        return entry
    }
}
