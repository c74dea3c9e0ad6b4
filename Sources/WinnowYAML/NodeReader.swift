import WinnowJSON
import Yams

/// Turns the tree that Yams reads into JSON values, with bounds on what aliases and nesting may cost.
struct NodeReader {
    let file: String
    private(set) var lines: [YAMLPath: Int] = [:]
    private var count = 0

    init(file: String) { self.file = file }

    mutating func value(of node: Node, at path: YAMLPath) throws(YAMLError) -> JSONValue {
        count += 1
        guard count <= YAMLDocument.nodeLimit else {
            throw error(node, "more than \(YAMLDocument.nodeLimit) values, aliases followed")
        }
        guard path.steps.count <= YAMLDocument.depthLimit else {
            throw error(node, "more than \(YAMLDocument.depthLimit) levels of nesting")
        }
        if let mark = node.mark { lines[path] = mark.line }
        switch node {
        case .scalar(let scalar): return try value(of: scalar, node)
        case .sequence(let sequence):
            try refuseTag(sequence.tag, of: node, unless: Tag.Name.seq)
            var elements: [JSONValue] = []
            for (index, element) in sequence.enumerated() {
                elements.append(try value(of: element, at: path.appending(index)))
            }
            return .array(elements)
        case .mapping(let mapping):
            try refuseTag(mapping.tag, of: node, unless: Tag.Name.map)
            var object = JSONObject()
            for (key, element) in mapping {
                guard case .scalar(let name) = key else { throw error(key, "a key that is no word") }
                guard object[name.string] == nil else {
                    throw error(key, "the key '\(name.string)' stands twice")
                }
                object[name.string] = try value(of: element, at: path.appending(name.string))
            }
            return .object(object)
        case .alias: throw error(node, "an alias of nothing")
        }
    }

    private func value(of scalar: Node.Scalar, _ node: Node) throws(YAMLError) -> JSONValue {
        let string = scalar.string
        if scalar.tag.rawValue == Tag.Name.str.rawValue { return .string(string) }
        try refuseTag(scalar.tag, of: node, unless: Tag.Name.implicit)
        return scalar.style == .plain ? PlainScalar.value(of: string) : .string(string)
    }

    private func refuseTag(_ tag: Tag, of node: Node, unless allowed: Tag.Name) throws(YAMLError) {
        let plain = [allowed, .implicit, .nonSpecific].map(\.rawValue)
        guard plain.contains(tag.rawValue) else { throw error(node, "the tag \(tag.rawValue) is not read") }
    }

    private func error(_ node: Node, _ reason: String) -> YAMLError {
        YAMLError(file: file, line: node.mark?.line, reason: reason)
    }
}
