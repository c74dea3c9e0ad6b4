/// Cuts a template into tokens.
struct TemplateLexer {
    private let rules: TemplateRules
    private let source: [UInt8]
    private var position = 0
    private var line = 1
    /// Where the line and the current token begin.
    private var lineBegin = 0
    private var tokenBegin = 0
    /// The column of a byte of this line.
    private var counted = (byte: 0, column: 1)
    private var tokens: [TemplateToken] = []
    /// Whether what was read last ended a line.
    private var isLineStart = true

    init(_ text: String, _ rules: TemplateRules) {
        self.rules = rules
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var last: UInt8 = 0
        for byte in text.utf8 {
            // All line ends become one line feed.
            if byte == 0x0A, last == 0x0D {
                last = byte
                continue
            }
            bytes.append(byte == 0x0D ? 0x0A : byte)
            last = byte
        }
        if bytes.last == 0x0A, rules == .chat { bytes.removeLast() }
        source = bytes
    }

    mutating func tokenize() throws(TemplateError) -> [TemplateToken] {
        while position < source.count {
            let start = position
            let tag = findTag()
            var text = source[start..<tag]
            guard tag < source.count else {
                emit(text: text)
                break
            }
            let sign = byte(tag + 2)
            let isVariable = source[tag + 1] == UInt8(ascii: "{")
            if sign == UInt8(ascii: "-") {
                text = text[..<trimmedEnd(text)]
            } else if sign != UInt8(ascii: "+"), !isVariable {
                text = text[..<lineStart(text)]
            }
            emit(text: text)
            countLines(start..<tag)
            tokenBegin = tag
            position = tag + 2
            if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { position += 1 }
            isLineStart = false
            switch source[tag + 1] {
            case UInt8(ascii: "#"): try comment()
            case UInt8(ascii: "{"): try tagBody(.variableBegin, .variableEnd)
            default: if try !raw() { try tagBody(.blockBegin, .blockEnd) }
            }
        }
        tokenBegin = position
        tokens.append(TemplateToken(kind: .end, origin: origin()))
        return tokens
    }

    // MARK: text between tags

    private func byte(_ index: Int) -> UInt8 { index < source.count ? source[index] : 0 }

    /// The place of the next `{{`, `{%` or `{#`, or the end.
    private func findTag() -> Int {
        var index = position
        while index + 1 < source.count {
            if source[index] == UInt8(ascii: "{") {
                switch source[index + 1] {
                case UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "#"): return index
                default: break
                }
            }
            index += 1
        }
        return source.count
    }

    /// The place of the current token. Counted on from the place before it: lines may be long.
    private mutating func origin() -> TemplateOrigin {
        if counted.byte < lineBegin || counted.byte > tokenBegin { counted = (min(lineBegin, tokenBegin), 1) }
        while counted.byte < min(tokenBegin, source.count) {
            if source[counted.byte] & 0xC0 != 0x80 { counted.column += 1 }
            counted.byte += 1
        }
        return TemplateOrigin(line: line, column: counted.column)
    }

    private mutating func emit(text: ArraySlice<UInt8>) {
        guard !text.isEmpty else { return }
        tokenBegin = text.startIndex
        tokens.append(TemplateToken(kind: .data(String(decoding: text, as: UTF8.self)), origin: origin()))
    }

    /// The end of a text without the white space that ends it.
    private func trimmedEnd(_ text: ArraySlice<UInt8>) -> Int {
        let scalars = Array(String(decoding: text, as: UTF8.self).unicodeScalars)
        var end = text.endIndex
        for scalar in scalars.reversed() {
            guard scalar.isPythonSpace else { break }
            end -= UTF8.width(scalar)
        }
        return end
    }

    /// The start of a text's last line if that is nothing but white space before a tag, else the text's end.
    private func lineStart(_ text: ArraySlice<UInt8>) -> Int {
        guard rules == .chat else { return text.endIndex }
        let start = text.lastIndex(of: 0x0A).map { $0 + 1 }
        guard start != nil || isLineStart else { return text.endIndex }
        let from = start ?? text.startIndex
        return trimmedEnd(text[from...]) == from ? from : text.endIndex
    }

    private mutating func countLines(_ range: Range<Int>) {
        for index in range where source[index] == 0x0A {
            line += 1
            lineBegin = index + 1
        }
        if let last = range.last { isLineStart = source[last] == 0x0A }
    }

    // MARK: tags

    /// Steps over an end of a tag; `-` takes the white space after it, a block's end takes one line feed.
    private mutating func close(sign: UInt8, trimsLine: Bool) {
        let start = position
        if sign == UInt8(ascii: "-") {
            let rest = String(decoding: source[position...], as: UTF8.self)
            for scalar in rest.unicodeScalars {
                guard scalar.isPythonSpace else { break }
                position += UTF8.width(scalar)
            }
        } else if trimsLine, rules == .chat, sign != UInt8(ascii: "+"), byte(position) == 0x0A {
            position += 1
        }
        countLines(start..<position)
    }

    private mutating func comment() throws(TemplateError) {
        let openOrigin = origin()
        let start = position
        while position + 1 < source.count {
            if source[position] == UInt8(ascii: "#"), source[position + 1] == UInt8(ascii: "}") {
                let sign = position > start ? source[position - 1] : 0
                countLines(start..<position)
                isLineStart = false
                position += 2
                close(sign: sign, trimsLine: true)
                return
            }
            position += 1
        }
        throw .syntax(origin: openOrigin, message: "a comment that does not end with '#}'")
    }

    /// Reads `raw %} … {% endraw %}` when that is what stands here.
    private mutating func raw() throws(TemplateError) -> Bool {
        guard let (bodyStart, sign) = keywordTag("raw", at: position) else { return false }
        let openOrigin = origin()
        countLines(position..<bodyStart)
        position = bodyStart
        close(sign: sign == UInt8(ascii: "-") ? sign : 0, trimsLine: false)
        let start = position
        var index = position
        while index + 1 < source.count {
            guard source[index] == UInt8(ascii: "{"), source[index + 1] == UInt8(ascii: "%") else {
                index += 1
                continue
            }
            let mark = byte(index + 2)
            let hasSign = mark == UInt8(ascii: "-") || mark == UInt8(ascii: "+")
            guard let (end, endSign) = keywordTag("endraw", at: index + (hasSign ? 3 : 2)) else {
                index += 1
                continue
            }
            var text = source[start..<index]
            if mark == UInt8(ascii: "-") {
                text = text[..<trimmedEnd(text)]
            } else if mark != UInt8(ascii: "+") {
                text = text[..<lineStart(text)]
            }
            emit(text: text)
            countLines(start..<end)
            isLineStart = false
            position = end
            close(sign: endSign, trimsLine: true)
            return true
        }
        throw .syntax(origin: openOrigin, message: "'raw' without 'endraw'")
    }

    /// The byte after `keyword %}` and the sign before `%}`, when that stands at an index.
    private func keywordTag(_ keyword: String, at index: Int) -> (end: Int, sign: UInt8)? {
        var index = index
        func skipSpace() {
            while byte(index) == 0x20 || byte(index) == 0x0A || byte(index) == 0x09 { index += 1 }
        }
        skipSpace()
        for letter in keyword.utf8 {
            guard byte(index) == letter else { return nil }
            index += 1
        }
        skipSpace()
        var sign: UInt8 = 0
        if byte(index) == UInt8(ascii: "-") || byte(index) == UInt8(ascii: "+") {
            sign = byte(index)
            index += 1
        }
        guard byte(index) == UInt8(ascii: "%"), byte(index + 1) == UInt8(ascii: "}") else { return nil }
        return (index + 2, sign)
    }

    private mutating func tagBody(
        _ begin: TemplateToken.Kind, _ end: TemplateToken.Kind
    ) throws(TemplateError) {
        tokens.append(TemplateToken(kind: begin, origin: origin()))
        let openOrigin = origin()
        let isBlock = begin == .blockBegin
        let mark = isBlock ? UInt8(ascii: "%") : UInt8(ascii: "}")
        var open: [UInt8] = []
        while position < source.count {
            let byte = source[position]
            if byte == 0x20 || byte == 0x09 || byte == 0x0A {
                countLines(position..<(position + 1))
                position += 1
                continue
            }
            if open.isEmpty {
                let isSigned = byte == UInt8(ascii: "-") || (isBlock && byte == UInt8(ascii: "+"))
                let at = isSigned ? position + 1 : position
                if self.byte(at) == mark, self.byte(at + 1) == UInt8(ascii: "}") {
                    tokenBegin = position
                    tokens.append(TemplateToken(kind: end, origin: origin()))
                    position = at + 2
                    isLineStart = false
                    close(sign: isSigned ? byte : 0, trimsLine: isBlock)
                    return
                }
            }
            switch byte {
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): open.append(byte)
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
                guard open.popLast() != nil else {
                    tokenBegin = position
                    throw .syntax(origin: origin(), message: "unexpected '\(UnicodeScalar(byte))'")
                }
            default: break
            }
            try token()
        }
        throw .syntax(origin: openOrigin, message: "a tag that does not end with '\(isBlock ? "%}" : "}}")'")
    }

    // MARK: inside tags

    private mutating func token() throws(TemplateError) {
        let byte = source[position]
        let start = position
        tokenBegin = position
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
            while isWord(self.byte(position)) { position += 1 }
            add(.name(String(decoding: source[start..<position], as: UTF8.self)))
        case UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        case UInt8(ascii: "'"), UInt8(ascii: "\""): try string(quote: byte)
        default:
            let pair = String(decoding: source[position..<min(position + 2, source.count)], as: UTF8.self)
            if ["==", "!=", ">=", "<=", "//", "**"].contains(pair) {
                position += 2
                add(.symbol(pair))
            } else if "+-*/%~<>=.:|,()[]{}".utf8.contains(byte) {
                position += 1
                add(.symbol(String(UnicodeScalar(byte))))
            } else {
                let rest = String(decoding: source[position...].prefix(4), as: UTF8.self)
                throw .syntax(
                    origin: origin(),
                    message: "unexpected '\(rest.unicodeScalars.prefix(1).map(String.init).joined())'")
            }
        }
    }

    private mutating func add(_ kind: TemplateToken.Kind) {
        tokens.append(TemplateToken(kind: kind, origin: origin()))
    }

    private func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private mutating func number() throws(TemplateError) {
        let start = position
        var isInteger = true
        while isDigit(byte(position)) || byte(position) == UInt8(ascii: "_") { position += 1 }
        // After a dot, digits are an index: `pairs.0.1`.
        let isIndex = start > 0 && byte(start - 1) == UInt8(ascii: ".")
        if !isIndex, byte(position) == UInt8(ascii: "."), isDigit(byte(position + 1)) {
            isInteger = false
            position += 1
            while isDigit(byte(position)) || byte(position) == UInt8(ascii: "_") { position += 1 }
        }
        if byte(position) | 0x20 == UInt8(ascii: "e") {
            let sign =
                byte(position + 1) == UInt8(ascii: "-") || byte(position + 1) == UInt8(ascii: "+") ? 1 : 0
            if isDigit(byte(position + 1 + sign)) {
                isInteger = false
                position += 1 + sign
                while isDigit(byte(position)) { position += 1 }
            }
        }
        let text = String(
            decoding: source[start..<position].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        if isInteger, let value = Int(text) {
            add(.integer(value))
        } else if !isInteger, let value = Double(text) {
            add(.number(value))
        } else {
            throw .unsupported(construct: "the number \(text)", origin: origin())
        }
    }

    private mutating func string(quote: UInt8) throws(TemplateError) {
        let start = origin()
        position += 1
        var result: [UInt8] = []
        while position < source.count {
            let byte = source[position]
            position += 1
            if byte == quote {
                tokens.append(
                    TemplateToken(kind: .string(String(decoding: result, as: UTF8.self)), origin: start))
                return
            }
            if byte == 0x0A { countLines((position - 1)..<position) }
            if byte == UInt8(ascii: "\\") { try escape(into: &result) } else { result.append(byte) }
        }
        throw .syntax(origin: start, message: "a string that does not end")
    }

    /// Python's escapes; an unknown one stands for itself.
    private mutating func escape(into result: inout [UInt8]) throws(TemplateError) {
        let byte = self.byte(position)
        position += 1
        switch byte {
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "r"): result.append(0x0D)
        case UInt8(ascii: "a"): result.append(0x07)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "v"): result.append(0x0B)
        case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): result.append(byte)
        case 0x0A: countLines((position - 1)..<position)
        case UInt8(ascii: "x"): try scalar(digits: 2, radix: 16, into: &result)
        case UInt8(ascii: "u"): try scalar(digits: 4, radix: 16, into: &result)
        case UInt8(ascii: "U"): try scalar(digits: 8, radix: 16, into: &result)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            position -= 1
            var digits = 0
            while digits < 3, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(self.byte(position + digits)) {
                digits += 1
            }
            try scalar(digits: digits, radix: 8, into: &result)
        case UInt8(ascii: "N"): throw .unsupported(construct: "the escape \\N", origin: origin())
        default:
            result.append(UInt8(ascii: "\\"))
            position -= 1
        }
    }

    private mutating func scalar(digits: Int, radix: Int, into result: inout [UInt8]) throws(TemplateError) {
        let text = String(decoding: source[position..<min(position + digits, source.count)], as: UTF8.self)
        guard text.utf8.count == digits, !text.utf8.contains(UInt8(ascii: "+")),
            let value = UInt32(text, radix: radix), let scalar = UnicodeScalar(value)
        else { throw .syntax(origin: origin(), message: "a malformed escape in a string") }
        position += digits
        result.append(contentsOf: String(Character(scalar)).utf8)
    }
}

extension Unicode.Scalar {
    /// What Python's `str.isspace` takes for white space.
    package var isPythonSpace: Bool {
        if value < 0x80 {
            return value == 0x20 || (0x09...0x0D).contains(value) || (0x1C...0x1F).contains(value)
        }
        return properties.isWhitespace
    }
}
