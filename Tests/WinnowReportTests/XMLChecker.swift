/// A strict little reader of XML: enough to say that a page or chart is well formed.
struct XMLChecker {
    enum Problem: Error, Equatable {
        case mismatchedTag(String, at: Int)
        case unclosed(String)
        case badCharacter(UInt32, at: Int)
        case badEntity(at: Int)
        case badAttribute(at: Int)
        case duplicateAttribute(String, at: Int)
        case duplicateID(String)
        case textOutside(at: Int)
        case unfinished(at: Int)
    }

    struct Element: Equatable {
        var name: String
        var attributes: [String: String]
        /// Character data directly inside, entities resolved.
        var text = ""
    }

    private let scalars: [Unicode.Scalar]
    private var index = 0
    private(set) var elements: [Element] = []

    /// - Returns: all elements in the order of their start tags.
    static func elements(of text: String) throws -> [Element] {
        var checker = XMLChecker(scalars: Array(text.unicodeScalars))
        try checker.run()
        return checker.elements
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private mutating func run() throws {
        if starts("<!DOCTYPE html>") { index += 15 }
        var open: [Int] = []
        var ids: Set<String> = []
        while index < scalars.count {
            if starts("</") {
                index += 2
                let name = name()
                guard let last = open.popLast(), elements[last].name == name, take(">") else {
                    throw Problem.mismatchedTag(name, at: index)
                }
            } else if take("<") {
                let name = name()
                guard !name.isEmpty else { throw Problem.badCharacter(0x3C, at: index) }
                var element = Element(name: name, attributes: [:])
                while true {
                    let hadSpace = skipSpace()
                    if starts("/>") {
                        index += 2
                        elements.append(element)
                        break
                    }
                    if take(">") {
                        open.append(elements.count)
                        elements.append(element)
                        break
                    }
                    guard hadSpace else { throw Problem.badAttribute(at: index) }
                    let key = self.name()
                    guard !key.isEmpty, take("="), take("\"") else { throw Problem.badAttribute(at: index) }
                    let value = try characters(until: "\"")
                    guard take("\"") else { throw Problem.unfinished(at: index) }
                    guard element.attributes.updateValue(value, forKey: key) == nil else {
                        throw Problem.duplicateAttribute(key, at: index)
                    }
                    if key == "id", !ids.insert(value).inserted { throw Problem.duplicateID(value) }
                }
            } else {
                let start = index
                let text = try characters(until: "<")
                guard let last = open.last else {
                    guard text.allSatisfy(\.isWhitespace) else { throw Problem.textOutside(at: start) }
                    continue
                }
                elements[last].text += text
            }
        }
        if let last = open.last { throw Problem.unclosed(elements[last].name) }
    }

    private mutating func characters(until end: Unicode.Scalar) throws -> String {
        var text = String.UnicodeScalarView()
        while index < scalars.count, scalars[index] != end {
            let scalar = scalars[index]
            switch scalar {
            case "&":
                guard let stop = scalars[index...].prefix(12).firstIndex(of: ";") else {
                    throw Problem.badEntity(at: index)
                }
                let name = String(String.UnicodeScalarView(scalars[(index + 1)..<stop]))
                let known: [String: Unicode.Scalar] = [
                    "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "#39": "'",
                ]
                guard let value = known[name] else { throw Problem.badEntity(at: index) }
                text.append(value)
                index = stop + 1
            case "<": throw Problem.badCharacter(0x3C, at: index)
            case "\n", "\t", "\r": fallthrough
            case _ where scalar.value >= 0x20 && !(0xFFFE...0xFFFF).contains(scalar.value):
                text.append(scalar)
                index += 1
            default: throw Problem.badCharacter(scalar.value, at: index)
            }
        }
        return String(text)
    }

    private mutating func name() -> String {
        var name = ""
        while index < scalars.count,
            scalars[index].properties.isAlphabetic || "-:0123456789".unicodeScalars.contains(scalars[index])
        {
            name.unicodeScalars.append(scalars[index])
            index += 1
        }
        return name
    }

    private mutating func skipSpace() -> Bool {
        let start = index
        while index < scalars.count, scalars[index].properties.isWhitespace { index += 1 }
        return index > start
    }

    private func starts(_ text: String) -> Bool { scalars[index...].starts(with: text.unicodeScalars) }

    private mutating func take(_ text: String) -> Bool {
        guard starts(text) else { return false }
        index += text.unicodeScalars.count
        return true
    }
}
