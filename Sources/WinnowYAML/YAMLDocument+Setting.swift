import WinnowJSON

extension YAMLDocument {
    /// The same document with one value in another's place; mappings on the way that are missing are made.
    ///
    /// - Throws: ``YAMLError`` for a step into what is no mapping, or past the end of a list.
    public func setting(_ path: YAMLPath, to value: JSONValue) throws(YAMLError) -> YAMLDocument {
        var copy = self
        copy.value = try replaced(self.value, path.steps[...], value, path)
        return copy
    }

    private func replaced(
        _ old: JSONValue, _ steps: ArraySlice<YAMLPath.Step>, _ value: JSONValue, _ path: YAMLPath
    ) throws(YAMLError) -> JSONValue {
        guard let step = steps.first else { return value }
        switch (step, old) {
        case (.index(let index), .array(var elements)):
            guard elements.indices.contains(index) else {
                throw error(path, "there is no number \(index): the list has \(elements.count), from 0")
            }
            elements[index] = try replaced(elements[index], steps.dropFirst(), value, path)
            return .array(elements)
        case (.key(let key), .object(var object)):
            object[key] = try replaced(object[key] ?? .null, steps.dropFirst(), value, path)
            return .object(object)
        case (.key(let key), .null):
            return .object(JSONObject([(key, try replaced(.null, steps.dropFirst(), value, path))]))
        case (.index(let index), _): throw error(path, "what number \(index) is looked for in is no list")
        case (.key(let key), _): throw error(path, "what '\(key)' is looked for in is no mapping")
        }
    }

    private func error(_ path: YAMLPath, _ reason: String) -> YAMLError {
        YAMLError(file: file, line: line(of: path), reason: "\(path): \(reason)")
    }
}
