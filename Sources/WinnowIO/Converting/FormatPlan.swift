import WinnowCore
import WinnowJSON
import WinnowWeights

/// The weight format that each matrix of one model gets, and the measurements that chose it: what
/// ``FormatChooser`` finds, and what converts again without measuring.
public struct FormatPlan: Sendable, Equatable {
    /// Why a candidate was not taken.
    public enum Refusal: String, Sendable, CaseIterable {
        /// ‖W - V‖ / ‖W‖ of some matrix is over the bound.
        case error
        /// Weights that are zero would not be.
        case zeros
        /// A weight is too large for it.
        case range
        case slower
    }

    /// A format that was looked at for matrices of one shape.
    public struct Candidate: Sendable, Equatable {
        public var format: WeightFormat
        /// Of the matrix that was measured.
        public var bytes: Int
        /// Of a product with one row; nil: not timed.
        public var seconds: Double?
        /// ‖W - V‖ / ‖W‖, the largest of the matrices that were looked at; nil where it cannot be made.
        public var error: Double?
        /// nil: chosen.
        public var refusal: Refusal?

        public init(
            format: WeightFormat, bytes: Int, seconds: Double?, error: Double?, refusal: Refusal?
        ) {
            self.format = format
            self.bytes = bytes
            self.seconds = seconds
            self.error = error
            self.refusal = refusal
        }
    }

    /// Matrices of one shape and format, with about the same share of zeros, and what they become.
    public struct Choice: Sendable, Equatable {
        public var rows: Int
        public var columns: Int
        public var source: WeightFormat
        /// Share of zeros of the matrix that was measured.
        public var zeros: Double
        public var format: WeightFormat
        /// One line.
        public var reason: String
        /// Hugging Face keys.
        public var names: [String]
        public var candidates: [Candidate]
    }

    /// What it was made under.
    public struct Conditions: Sendable, Equatable {
        public var maxWeightError: Double
        public var instructionSet: String
        public var threads: Int
        public var activations: ActivationMode

        public init(maxWeightError: Double, instructionSet: String, threads: Int, activations: ActivationMode)
        {
            self.maxWeightError = maxWeightError
            self.instructionSet = instructionSet
            self.threads = threads
            self.activations = activations
        }
    }

    public var architecture: String
    /// Of the matrices it is about: ``fingerprint(of:_:)``.
    public var fingerprint: String
    public var conditions: Conditions
    public private(set) var choices: [Choice]
    private let formats: [String: WeightFormat]

    public init(architecture: String, fingerprint: String, conditions: Conditions, choices: [Choice]) {
        self.architecture = architecture
        self.fingerprint = fingerprint
        self.conditions = conditions
        self.choices = choices
        formats = Dictionary(
            choices.flatMap { choice in choice.names.map { ($0, choice.format) } }, uniquingKeysWith: { $1 })
    }

    /// What a matrix becomes; nil for one that the plan leaves alone.
    public func format(of name: String) -> WeightFormat? { formats[name] }

    /// The matrices that a plan of a model is about, in order: linears of blocks, and the one that makes logits.
    public static func names(of model: Checkpoint) -> [(name: String, isHead: Bool)] {
        let shape = model.configuration
        let head = shape.tensorName(.head) ?? (shape.traits.hasHead ? shape.tensorName(.embedding) : nil)
        return model.names.compactMap { name in
            shape.isBlockLinear(name) ? (name, false) : name == head ? (name, true) : nil
        }
    }

    /// SHA-256 of names, shapes, formats and the first bytes of the matrices that a plan is about: another model, or
    /// another training of the same one, has another.
    public static func fingerprint(of model: Checkpoint) throws -> String {
        var hash = SHA256()
        for (name, _) in names(of: model) {
            let matrix = try model.matrix(name)
            var text = "\(name) \(matrix.rows) \(matrix.columns) \(matrix.format.name) \(matrix.byteCount)\n"
            text.withUTF8 { hash.add(UnsafeRawBufferPointer($0)) }
            hash.add(UnsafeRawBufferPointer(rebasing: matrix.parts.values.bytes.prefix(512)))
        }
        return hash.hexadecimal()
    }

    /// - Throws: ``FormatPlanError`` when the plan was made for another model, or for another target.
    public func check(_ model: Checkpoint, for target: ModelConversion.Target, file: String) throws {
        guard architecture == model.configuration.architecture else {
            throw FormatPlanError.otherModel(
                file: file, model: model.path,
                difference: "it is for '\(architecture)', not '\(model.configuration.architecture)'")
        }
        let wanted = FormatPlan.names(of: model).map(\.name)
        if let missing = wanted.first(where: { formats[$0] == nil }) {
            throw FormatPlanError.otherModel(
                file: file, model: model.path, difference: "it does not know \(missing)")
        }
        if let extra = formats.keys.sorted().first(where: { !wanted.contains($0) }) {
            throw FormatPlanError.otherModel(
                file: file, model: model.path, difference: "the model has no \(extra)")
        }
        for choice in choices {
            let allowed = ModelConversion.formats(for: target)
            guard allowed.contains(choice.format) || target == .packed && choice.format == choice.source
            else {
                throw FormatPlanError.formatNotForTarget(
                    file: file, format: choice.format.name, target: target.rawValue)
            }
            for name in choice.names {
                let matrix = try model.matrix(name)
                guard matrix.rows == choice.rows, matrix.columns == choice.columns else {
                    throw FormatPlanError.otherModel(
                        file: file, model: model.path,
                        difference: "\(name) is [\(matrix.rows), \(matrix.columns)], "
                            + "not [\(choice.rows), \(choice.columns)]")
                }
                guard matrix.format == choice.source else {
                    throw FormatPlanError.otherModel(
                        file: file, model: model.path,
                        difference: "\(name) is \(matrix.format.name), not \(choice.source.name)")
                }
            }
        }
        guard try FormatPlan.fingerprint(of: model) == fingerprint else {
            throw FormatPlanError.otherModel(file: file, model: model.path, difference: "its weights differ")
        }
    }
}

/// Why a plan of formats cannot be followed.
public enum FormatPlanError: Error, Equatable, Sendable, CustomStringConvertible {
    case badJSON(file: String, error: JSONError)
    case wrongField(file: String, field: String, found: String, expected: String)
    case unknownFormat(file: String, format: String)
    case formatNotForTarget(file: String, format: String, target: String)
    case otherModel(file: String, model: String, difference: String)

    public var description: String {
        switch self {
        case .badJSON(let file, let error): "\(file): \(error); is it a plan of winnow convert?"
        case .wrongField(let file, let field, let found, let expected):
            "\(file): '\(field)' is \(found); expected \(expected)"
        case .unknownFormat(let file, let format):
            "\(file): there is no format '\(format)'; there are "
                + WeightFormats.all.filter(\.canEncode).map(\.name).joined(separator: ", ")
        case .formatNotForTarget(let file, let format, let target):
            "\(file): '\(target)' cannot hold \(format); measure again with another --plan"
        case .otherModel(let file, let model, let difference):
            "\(file): a plan of another model than \(model): \(difference); measure again with another --plan"
        }
    }
}
