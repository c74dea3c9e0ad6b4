/// A set of scalars that pre-tokenizers cut runs of, named in their expressions by class or by ranges.
enum ScalarSet: Sendable, Equatable, CaseIterable {
    /// `\p{L}`, `\p{N}` and `\p{P}`.
    case letters, numbers, punctuation
    /// What `Digits` takes for a digit.
    case numeric
    case lineEnds
    case asciiDigits
    /// Everything but, and only, U+000A.
    case notLineFeed, lineFeed
    /// What `Punctuation` takes for a mark: `\p{P}` and the ASCII symbols.
    case marks
    /// The letters that DeepSeek's first tokenizers list, without scripts that have no case.
    case deepSeekLetters, deepSeekMarks, deepSeekIdeographs
    case ideographsAndKana
    /// Everything but white space and the marks that BLOOM splits at; parentheses and bars are among them because
    /// the expression has its group inside the brackets.
    case bloomLetters

    /// As the expressions spell it, with the brackets.
    var expression: String {
        switch self {
        case .letters: #"\p{L}"#
        case .numbers: #"\p{N}"#
        case .punctuation: #"\p{P}"#
        case .numeric: #"\p{N}"#
        case .lineEnds: #"[\r\n]"#
        case .asciiDigits: "[0-9]"
        case .notLineFeed: #"[^\n]"#
        case .lineFeed: #"[\n]"#
        case .marks: #"[\p{P}\$\+<=>\^~\|`]"#
        case .deepSeekLetters:
            "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u{1F7D}"
                + "ᾀ-ᾴᾶ-ᾼ\u{1FBE}ῂ-ῄῆ-ῌῐ-\u{1FD3}ῖ-\u{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏"
                + "𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
        case .deepSeekMarks: "[!-/:-~！-／：-～‘-‟\u{3000}-。]"
        case .deepSeekIdeographs: "[一-龥ࠀ-一가-\u{D7FF}]"
        case .ideographsAndKana: "[一-龥\u{3040}-ゟ゠-ヿ]"
        case .bloomLetters: #"[^(\s|.,!?…。，、।۔،)]"#
        }
    }

    /// Whether a scalar is a member; `bits` are its class and flags.
    @inline(__always)
    func contains(_ scalar: UInt32, bits: UInt8) -> Bool {
        let kind = bits & ScalarClass.mask
        switch self {
        case .letters: return kind == ScalarClass.letter
        case .numbers: return kind == ScalarClass.number
        case .punctuation: return bits & ScalarClass.punctuationFlag != 0
        case .numeric: return bits & ScalarClass.numericFlag != 0
        case .lineEnds: return scalar == 0x0A || scalar == 0x0D
        case .asciiDigits: return scalar &- 0x30 < 10
        case .notLineFeed: return scalar != 0x0A
        case .lineFeed: return scalar == 0x0A
        case .marks:
            if bits & ScalarClass.punctuationFlag != 0 {
                return scalar < 0x61D || !ScalarSet.isIn(ScalarSet.newerMarks, scalar)
            }
            return (scalar < 0x80 && bits & ScalarClass.symbolFlag != 0) || scalar == 0x166D
                || scalar == 0x111C9
        case .deepSeekLetters: return ScalarSet.isIn(ScalarSet.deepSeekLetterRanges, scalar)
        case .deepSeekMarks:
            switch scalar {
            case 0x21...0x2F, 0x3A...0x7E, 0xFF01...0xFF0F, 0xFF1A...0xFF5E, 0x2018...0x201F, 0x3000...0x3002:
                return true
            default: return false
            }
        case .deepSeekIdeographs:
            return (0x800...0x9FA5).contains(scalar) || (0xAC00...0xD7FF).contains(scalar)
        case .ideographsAndKana:
            return (0x4E00...0x9FA5).contains(scalar) || (0x3040...0x30FF).contains(scalar)
        case .bloomLetters:
            if kind == ScalarClass.space { return false }
            switch scalar {
            case 0x28, 0x7C, 0x2E, 0x2C, 0x21, 0x3F, 0x2026, 0x3002, 0xFF0C, 0x3001, 0x964, 0x6D4, 0x60C,
                0x29:
                return false
            default: return true
            }
        }
    }

    /// Marks that `Punctuation` and `BertPreTokenizer` do not know: they have an older edition of Unicode than the
    /// expressions, one where U+166D and U+111C9 were marks. Asked of tokenizers 0.23.3, scalar by scalar.
    private static let newerMarks: [ClosedRange<UInt32>] = [
        0x61D...0x61D, 0x9FD...0x9FD, 0xA76...0xA76, 0xC77...0xC77, 0xC84...0xC84, 0x1B4E...0x1B4F,
        0x1B7D...0x1B7F, 0x2E43...0x2E4F, 0x2E52...0x2E5D, 0x10D6E...0x10D6E, 0x10EAD...0x10EAD,
        0x10F55...0x10F59, 0x10F86...0x10F89, 0x113D4...0x113D5, 0x113D7...0x113D8, 0x1144B...0x1144F,
        0x1145A...0x1145B, 0x1145D...0x1145D, 0x11660...0x1166C, 0x116B9...0x116B9, 0x1183B...0x1183B,
        0x11944...0x11946, 0x119E2...0x119E2, 0x11A3F...0x11A46, 0x11A9A...0x11A9C, 0x11A9E...0x11AA2,
        0x11B00...0x11B09, 0x11BE1...0x11BE1, 0x11C41...0x11C45, 0x11C70...0x11C71, 0x11EF7...0x11EF8,
        0x11F43...0x11F4F, 0x11FFF...0x11FFF, 0x12FF1...0x12FF2, 0x16D6D...0x16D6F, 0x16E97...0x16E9A,
        0x16FE2...0x16FE2, 0x1E5FF...0x1E5FF, 0x1E95E...0x1E95F,
    ]

    private static func isIn(_ ranges: [ClosedRange<UInt32>], _ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(scalar)
    }

    /// The members of ``deepSeekLetters``, read from its expression.
    private static let deepSeekLetterRanges: [ClosedRange<UInt32>] = {
        let scalars = ScalarSet.deepSeekLetters.expression.unicodeScalars.map(\.value).dropFirst().dropLast()
        var ranges: [ClosedRange<UInt32>] = []
        var index = scalars.startIndex
        while index < scalars.endIndex {
            let first = scalars[index]
            if index + 2 < scalars.endIndex, scalars[index + 1] == 0x2D, scalars[index + 2] >= first {
                ranges.append(first...scalars[index + 2])
                index += 3
            } else {
                ranges.append(first...first)
                index += 1
            }
        }
        return ranges.sorted { $0.lowerBound < $1.lowerBound }
    }()
}
