/// Why a verb failed, as one line: what, where, what to do.
struct CommandError: Error, Equatable, CustomStringConvertible {
    let what: String
    let place: String?
    let remedy: String?

    init(_ what: String, at place: String? = nil, remedy: String? = nil) {
        self.what = what
        self.place = place
        self.remedy = remedy
    }

    var description: String {
        what + (place.map { ": \($0)" } ?? "") + (remedy.map { "; \($0)" } ?? "")
    }
}
