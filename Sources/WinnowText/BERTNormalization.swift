/// What BERT does to a text: controls left out, ideographs set apart, accents and case taken off.
///
/// - Source: `BertNormalizer` of Hugging Face's `tokenizers`, after `BasicTokenizer` of the BERT release.
public struct BERTNormalization: Sendable, Equatable {
    var cleansText = true
    var separatesIdeographs = true
    var stripsAccents = true
    var lowercases = true

    func normalize(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        if cleansText || separatesIdeographs {
            bytes = Normalizer.map(bytes) { scalar, output in
                if cleansText {
                    if scalar.value == 0 || scalar.value == 0xFFFD || BERTNormalization.isControl(scalar) {
                        return
                    }
                    if scalar.properties.isWhitespace {
                        output.append(0x20)
                        return
                    }
                }
                let isSeparate = separatesIdeographs && BERTNormalization.isIdeograph(scalar.value)
                if isSeparate { output.append(0x20) }
                output.append(contentsOf: UTF8.encode(scalar)!)
                if isSeparate { output.append(0x20) }
            }
        }
        if stripsAccents {
            bytes = UnicodeForm(composes: false).normalize(bytes)
            bytes = Normalizer.map(bytes) { scalar, output in
                if !MarkRanges.contains(scalar.value, in: MarkRanges.nonspacing) {
                    output.append(contentsOf: UTF8.encode(scalar)!)
                }
            }
        }
        if lowercases {
            bytes = Normalizer.map(bytes) { $1.append(contentsOf: $0.properties.lowercaseMapping.utf8) }
        }
        return bytes
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\t", "\n", "\r": return false
        // Format characters of later editions of Unicode than `tokenizers` has here.
        case "\u{890}"..."\u{891}", "\u{8E2}", "\u{110CD}", "\u{13430}"..."\u{1343F}": return false
        default:
            switch scalar.properties.generalCategory {
            case .control, .format, .privateUse, .surrogate: return true
            default: return false
            }
        }
    }

    /// The ranges of the BERT release; Hugging Face's have U+2B920 for U+2B820, and so have these.
    private static func isIdeograph(_ value: UInt32) -> Bool {
        switch value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
            return true
        default: return false
        }
    }
}
