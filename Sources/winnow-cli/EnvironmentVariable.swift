import Glibc

/// What the environment says.
enum EnvironmentVariable {
    /// An environment variable; an empty one counts as unset.
    static func text(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// Whether a variable says yes: 1, true, yes, on.
    static func flag(_ name: String) -> Bool {
        ["1", "true", "yes", "on"].contains(text(name)?.lowercased() ?? "")
    }
}
