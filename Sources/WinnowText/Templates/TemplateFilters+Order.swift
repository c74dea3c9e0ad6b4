/// The filters that compare items: without regard to case unless asked, as Jinja's do.
extension TemplateRenderer {
    mutating func orderFilter(
        _ name: String, _ value: TemplateValue, _ items: [TemplateValue], _ inputs: TemplateInputs,
        origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "unique":
            var result: [TemplateValue] = []
            var keys: [TemplateValue] = []
            for item in items {
                let key = try orderKey(
                    item, isCased: inputs.value(0, "case_sensitive"), inputs.value(1, "attribute"), origin)
                var isNew = true
                for other in keys where try isEqual(other, key, origin: origin) { isNew = false }
                if isNew {
                    keys.append(key)
                    result.append(item)
                }
            }
            return try generator(result, origin: origin)
        case "min", "max":
            var best: (key: TemplateValue, item: TemplateValue)?
            for item in items {
                let key = try orderKey(
                    item, isCased: inputs.value(0, "case_sensitive"), inputs.value(1, "attribute"), origin)
                if let best, try order(key, best.key, name, origin) * (name == "min" ? 1 : -1) >= 0 {
                    continue
                }
                best = (key, item)
            }
            return best?.item ?? .undefined("the \(name) of an empty list")
        case "sum":
            var total = inputs.value(1, "start") ?? .integer(0)
            for item in items {
                let part = try inputs.value(0, "attribute").map { key throws(TemplateError) in
                    try path(key, of: item, origin: origin)
                }
                total = try binary("+", total, part ?? item, origin: origin)
            }
            return total
        case "sort":
            let isReversed = inputs.value(0, "reverse")?.isTrue ?? false
            let sorted = try sorted(
                items, isReversed: isReversed, isCased: inputs.value(1, "case_sensitive"),
                inputs.value(2, "attribute"), origin)
            return try made(sorted, origin: origin)
        default:
            guard case .dictionary(let dictionary) = value else { throw mistake(name, value, origin) }
            let by = inputs.value(1, "by") ?? .string("key")
            guard case .string(let part) = by, part == "key" || part == "value" else {
                throw .wrongType(operation: "dictsort takes 'key' or 'value' to sort by", origin: origin)
            }
            let isReversed = inputs.value(2, "reverse")?.isTrue ?? false
            let sorted = try sorted(
                dictionary.items, isReversed: isReversed, isCased: inputs.value(0, "case_sensitive"),
                .integer(part == "key" ? 0 : 1), origin)
            return try made(sorted, origin: origin)
        }
    }

    private func orderKey(
        _ item: TemplateValue, isCased: TemplateValue?, _ attribute: TemplateValue?, _ origin: TemplateOrigin
    ) throws(TemplateError) -> TemplateValue {
        var key = item
        if let attribute {
            if case .string(let text) = attribute, text.utf8.contains(UInt8(ascii: ",")) {
                throw .unsupported(construct: "sorting by more than one attribute", origin: origin)
            }
            key = try path(attribute, of: item, origin: origin)
        }
        if case .string(let text) = key, !(isCased?.isTrue ?? false) { return .string(text.lowercased()) }
        return key
    }

    /// Merges runs bottom up: stable, also in reverse, and errors of a comparison come through.
    private mutating func sorted(
        _ items: [TemplateValue], isReversed: Bool, isCased: TemplateValue?, _ attribute: TemplateValue?,
        _ origin: TemplateOrigin
    ) throws(TemplateError) -> [TemplateValue] {
        var entries: [(key: TemplateValue, item: TemplateValue)] = []
        for item in items { entries.append((try orderKey(item, isCased: isCased, attribute, origin), item)) }
        try spend(items.count * 16, origin: origin)
        var width = 1
        while width < entries.count {
            var merged: [(key: TemplateValue, item: TemplateValue)] = []
            merged.reserveCapacity(entries.count)
            for start in stride(from: 0, to: entries.count, by: 2 * width) {
                let middle = min(start + width, entries.count)
                let end = min(start + 2 * width, entries.count)
                var (left, right) = (start, middle)
                while left < middle, right < end {
                    let order = try order(entries[right].key, entries[left].key, "<", origin)
                    if isReversed ? order > 0 : order < 0 {
                        merged.append(entries[right])
                        right += 1
                    } else {
                        merged.append(entries[left])
                        left += 1
                    }
                }
                merged += entries[left..<middle]
                merged += entries[right..<end]
            }
            entries = merged
            width *= 2
        }
        return entries.map(\.item)
    }
}
