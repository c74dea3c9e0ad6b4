/// Why a conversion cannot be done as asked.
public enum ConversionError: Error, Equatable, Sendable, CustomStringConvertible {
    case formatNotForTarget(format: String, target: String, allowed: [String])

    public var description: String {
        switch self {
        case .formatNotForTarget(let format, let target, let allowed):
            "'\(target)' cannot hold \(format); choose \(allowed.joined(separator: ", "))"
        }
    }
}
