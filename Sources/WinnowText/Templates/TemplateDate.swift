#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A time in the calendar, for `strftime_now`.
public struct TemplateDate: Sendable, Equatable {
    public var year: Int
    /// From 1.
    public var month: Int
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int

    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The local time.
    public static var now: TemplateDate {
        var clock = time(nil)
        var parts = tm()
        localtime_r(&clock, &parts)
        return TemplateDate(
            year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
            hour: Int(parts.tm_hour), minute: Int(parts.tm_min), second: Int(parts.tm_sec))
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December",
    ]
    private static let weekdays = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]

    /// Zeller's count of days, 0 for Sunday.
    private var weekday: Int {
        let shifted = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]
        let year = month < 3 ? year - 1 : year
        let sum = year + year / 4 - year / 100 + year / 400 + shifted[(month - 1) % 12] + day
        return (sum % 7 + 7) % 7
    }

    private var dayOfYear: Int {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return before[(month - 1) % 12] + day + (isLeap && month > 2 ? 1 : 0)
    }

    /// Python's `strftime` in the C locale; nil for a directive that is not known.
    func formatted(_ format: String) -> String? {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        var result = ""
        var rest = format.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            guard var directive = rest.popFirst() else { return nil }
            // glibc's: no padding.
            let isBare = directive == "-"
            if isBare {
                guard let next = rest.popFirst() else { return nil }
                directive = next
            }
            func number(_ value: Int) -> String { isBare ? "\(value)" : two(value) }
            let hour12 = hour % 12 == 0 ? 12 : hour % 12
            switch directive {
            case "Y": result += "\(year)"
            case "y": result += number(year % 100)
            case "m": result += number(month)
            case "d": result += number(day)
            case "e": result += isBare || day > 9 ? "\(day)" : " \(day)"
            case "H": result += number(hour)
            case "I": result += number(hour12)
            case "M": result += number(minute)
            case "S": result += number(second)
            case "p": result += hour < 12 ? "AM" : "PM"
            case "B": result += TemplateDate.months[(month - 1) % 12]
            case "b", "h": result += TemplateDate.months[(month - 1) % 12].prefix(3)
            case "A": result += TemplateDate.weekdays[weekday]
            case "a": result += TemplateDate.weekdays[weekday].prefix(3)
            case "j":
                let text = "\(dayOfYear)"
                result += (isBare ? "" : String(repeating: "0", count: 3 - text.utf8.count)) + text
            case "F": result += "\(year)-\(two(month))-\(two(day))"
            case "T": result += "\(two(hour)):\(two(minute)):\(two(second))"
            case "%": result += "%"
            default: return nil
            }
        }
        return result
    }
}
