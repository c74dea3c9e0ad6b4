extension TemplateRenderer {
    /// What a macro writes, given its arguments.
    ///
    /// - Parameter caller: the macro of the body of a `call` block.
    mutating func call(
        macro number: Int, _ inputs: TemplateInputs, caller: Int?, origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        let (macro, depth, ownScopes) = macros[number]
        try enter(origin)
        defer { levels -= 1 }
        func mistake(_ reason: String) -> TemplateError {
            .wrongType(operation: "the macro '\(macro.name)' \(reason)", origin: origin)
        }
        var scope: [String: TemplateValue] = [:]
        for (parameter, value) in zip(macro.parameters, inputs.positional) { scope[parameter.name] = value }
        let extra = inputs.positional.dropFirst(macro.parameters.count)
        guard extra.isEmpty || macro.takes.contains("varargs") else {
            throw mistake("takes at most \(macro.parameters.count) arguments")
        }
        var others = TemplateDictionary()
        for (key, value) in inputs.named.pairs {
            let name = key.text
            if let place = macro.parameters.firstIndex(where: { $0.name == name }) {
                guard place >= inputs.positional.count else { throw mistake("gets '\(name)' twice") }
                scope[name] = value
            } else if name == "caller", macro.takes.contains(name) {
                scope[name] = value
            } else {
                others[name] = value
            }
        }
        guard others.count == 0 || macro.takes.contains("kwargs") else {
            throw mistake("has no parameter '\(others.keys[0].text)'")
        }
        if macro.takes.contains("varargs") { scope["varargs"] = .tuple(TemplateList(Array(extra))) }
        if macro.takes.contains("kwargs") { scope["kwargs"] = .dictionary(others) }
        if let caller {
            guard macro.takes.contains("caller") else { throw mistake("has no 'caller'") }
            scope["caller"] = .macro(caller)
        }

        let outerScopes = scopes
        scopes = ownScopes ?? Array(scopes.prefix(depth))
        defer { scopes = outerScopes }
        scopes.append(scope)
        for parameter in macro.parameters where scopes[scopes.count - 1][parameter.name] == nil {
            let value = try parameter.value.map { value throws(TemplateError) in try evaluate(value) }
            scopes[scopes.count - 1][parameter.name] =
                value ?? .undefined("the argument '\(parameter.name)' of '\(macro.name)'")
        }
        return try made(try captured(macro.body), origin: origin)
    }
}
