import Glibc

/// Numbers as people read them. A value that is not finite is a dash.
public enum Format {
    /// A fixed number of decimals.
    public static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "–" }
        guard abs(value) < 1e15 else { return "\(value)" }
        var buffer = [CChar](repeating: 0, count: 64)
        let count = withVaList([Int32(decimals), value]) { vsnprintf(&buffer, buffer.count, "%.*f", $0) }
        let text = String(decoding: buffer.prefix(Int(count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        // A value that rounds to zero has no sign.
        return text.hasPrefix("-") && !text.contains(where: { ("1"..."9").contains($0) })
            ? String(text.dropFirst()) : text
    }

    /// So many significant digits: 0.0123, 1.23, 123, 1,235. Under a ten-thousandth the form is 1.23e-05.
    public static func significant(_ value: Double, _ digits: Int = 3) -> String {
        guard value.isFinite else { return "–" }
        guard value != 0 else { return "0" }
        var exponent = Int(log10(abs(value)).rounded(.down))
        if exponent < -4 {
            let scaled = fixed(value / pow(10, Double(exponent)), digits - 1)
            return scaled + "e-" + (exponent > -10 ? "0" : "") + "\(-exponent)"
        }
        // Rounding may carry into one more digit: 9.996 is 10.0.
        let scale = pow(10, Double(digits - 1 - exponent))
        if (abs(value) * scale).rounded() >= pow(10, Double(digits)) { exponent += 1 }
        let decimals = max(0, digits - 1 - exponent)
        let text = fixed(value, decimals)
        return decimals == 0 ? grouped(text) : text
    }

    /// A whole number with separators: 134,515,008.
    public static func count(_ value: Int) -> String { grouped(String(value)) }

    private static func grouped(_ text: String) -> String {
        guard text.allSatisfy({ $0 == "-" || $0.isNumber }) else { return text }
        var result = ""
        let digits = text.drop { $0 == "-" }
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return text.hasPrefix("-") ? "-" + result : result
    }

    /// Binary units: 93.8 MiB.
    public static func bytes(_ value: Int) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        guard abs(value) >= 1024 else { return "\(value) B" }
        var size = Double(value) / 1024
        var unit = 0
        while abs(size) >= 1023.5, unit < units.count - 1 {
            size /= 1024
            unit += 1
        }
        return (abs(size) < 999.5 ? significant(size) : fixed(size, 0)) + " " + units[unit]
    }

    /// Decimal units, as memory bandwidth is quoted: 48.2 GB/s.
    public static func bandwidth(_ bytesPerSecond: Double) -> String {
        significant(bytesPerSecond / 1e9) + " GB/s"
    }

    /// Work per second: 174 tokens/s.
    public static func rate(_ perSecond: Double, _ unit: String = "tokens") -> String {
        significant(perSecond) + " " + unit + "/s"
    }

    /// A share of 1 in percent: 50.0 %.
    public static func percent(_ share: Double, _ decimals: Int = 1) -> String {
        share.isFinite ? fixed(share * 100, decimals) + " %" : "–"
    }

    /// A time in its own unit: 850 µs, 12.3 ms, 3.42 s, 2 min 05 s, 1 h 02 min.
    public static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, abs(seconds) < 1e12 else { return "–" }
        switch abs(seconds) {
        case 0: return "0 s"
        case ..<0.999_5e-3: return significant(seconds * 1e6) + " µs"
        case ..<0.999_5: return significant(seconds * 1e3) + " ms"
        case ..<59.95: return significant(seconds) + " s"
        case ..<3599.5:
            let whole = Int(seconds.rounded())
            return "\(whole / 60) min \(padded(whole % 60)) s"
        default:
            let minutes = Int((seconds / 60).rounded())
            return "\(minutes / 60) h \(padded(minutes % 60)) min"
        }
    }

    /// A value that is compared to a base: +3.2 %, -0.1 %.
    public static func change(from base: Double, to value: Double, _ decimals: Int = 1) -> String {
        let share = (value / base - 1) * 100
        guard share.isFinite else { return "–" }
        let text = fixed(share, decimals)
        return (text.hasPrefix("-") ? text : "+" + text) + " %"
    }

    /// A share of 1 as a bar of eighths of a character: ███▌······.
    public static func bar(_ share: Double, width: Int) -> String {
        guard share.isFinite, width > 0 else { return String(repeating: "·", count: max(width, 0)) }
        let eighths = Int((min(max(share, 0), 1) * Double(width * 8)).rounded())
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let filled = String(repeating: "█", count: eighths / 8) + partial
        return filled + String(repeating: "·", count: width - filled.count)
    }

    private static func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
