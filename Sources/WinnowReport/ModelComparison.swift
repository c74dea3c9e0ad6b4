import WinnowJSON

/// Versions of one model beside the file that they were made from: table, charts, and one sentence that says
/// whether any of them is worth having.
public struct ModelComparison: Sendable {
    public struct Row: Sendable, Equatable {
        public var name: String
        /// What a reader must know to judge the row: "without retraining".
        public var remark: String?
        /// Format of the prunable weights.
        public var format = ""
        public var perplexity = Double.nan
        public var standardError = Double.nan
        /// Files on disk.
        public var bytes = 0
        /// Of the prunable weights: bits of codes, scales and masks for each.
        public var bitsPerWeight = Double.nan
        public var prefillTokensPerSecond = Double.nan
        public var decodeTokensPerSecond = Double.nan
        public var zeros = 0
        public var prunable = 0
        public var activations = ""
        /// What the model wrote.
        public var text = ""
        /// Seconds that making it took; nil for the file as given.
        public var seconds: Double?

        public init(_ name: String, remark: String? = nil) {
            self.name = name
            self.remark = remark
        }

        public var sparsity: Double { prunable == 0 ? 0 : Double(zeros) / Double(prunable) }
        public var title: String { name + (remark.map { " (\($0))" } ?? "") }

        public var json: JSONValue {
            [
                "name": .string(name), "remark": remark.map { .string($0) } ?? .null,
                "format": .string(format),
                "perplexity": .number(perplexity), "standardError": .number(standardError),
                "bytes": .integer(Int64(bytes)), "bitsPerWeight": .number(bitsPerWeight),
                "prefillTokensPerSecond": .number(prefillTokensPerSecond),
                "decodeTokensPerSecond": .number(decodeTokensPerSecond), "sparsity": .number(sparsity),
                "zeros": .integer(Int64(zeros)), "prunable": .integer(Int64(prunable)),
                "activations": .string(activations), "text": .string(text),
                "seconds": seconds.map { .number($0) } ?? .null,
            ]
        }
    }

    /// The file as given.
    public var base: Row
    public var others: [Row]

    public init(base: Row, others: [Row]) {
        self.base = base
        self.others = others
    }

    public var rows: [Row] { [base] + others }

    /// Speeds closer than this share are the same: what two runs of one model differ by.
    public static let speedNoise = 0.03

    /// Rows that take nothing from the base and give something: no larger, no slower, no higher perplexity, and
    /// smaller or faster.
    public var improvements: [Row] {
        others.filter { row in
            row.perplexity <= base.perplexity && row.bytes <= base.bytes && !isSlower(row)
                && (row.bytes < base.bytes || isFaster(row))
        }
    }

    private func isFaster(_ row: Row) -> Bool {
        row.decodeTokensPerSecond > base.decodeTokensPerSecond * (1 + ModelComparison.speedNoise)
    }

    private func isSlower(_ row: Row) -> Bool {
        !(row.decodeTokensPerSecond >= base.decodeTokensPerSecond * (1 - ModelComparison.speedNoise))
    }

    /// One honest sentence about the base, computed from the figures alone.
    public var verdict: String {
        guard !others.isEmpty else { return "Only the file as given was measured." }
        let facts =
            "\(Format.bytes(base.bytes)), perplexity \(Format.significant(base.perplexity, 4)), "
            + "decode \(Format.rate(base.decodeTokensPerSecond))"
        if let best = improvements.min(by: { $0.bytes < $1.bytes }) {
            return "\(best.name) beats the file as given (\(facts)): it is \(gains(best)), "
                + "at a perplexity of \(Format.significant(best.perplexity, 4))."
        }
        let start = "Nothing here beats the file as given (\(facts))"
        let candidates = others.filter { $0.perplexity.isFinite && ($0.bytes < base.bytes || isFaster($0)) }
        guard let closest = candidates.min(by: { $0.perplexity < $1.perplexity }) else {
            return start + ": no other version is smaller or decodes faster."
        }
        if closest.perplexity <= base.perplexity {
            return start + ": \(closest.name) keeps its perplexity, but is \(gains(closest))."
        }
        return start
            + ": of what is smaller or faster, \(closest.name) loses least, and it is \(gains(closest)) at a "
            + "perplexity \(increase(closest)) (\(Format.significant(closest.perplexity, 4)))."
    }

    /// 12.3 % smaller and decodes as fast.
    private func gains(_ row: Row) -> String {
        let size = Double(row.bytes) / Double(max(base.bytes, 1)) - 1
        let sizeText =
            abs(size) < 0.0005
            ? "as large" : "\(Format.percent(abs(size))) \(size < 0 ? "smaller" : "larger")"
        let speed = row.decodeTokensPerSecond / base.decodeTokensPerSecond - 1
        guard speed.isFinite else { return sizeText }
        let speedText =
            isFaster(row) || isSlower(row)
            ? "\(Format.percent(abs(speed))) \(speed < 0 ? "slower" : "faster")" : "as fast"
        return "\(sizeText) and decodes \(speedText)"
    }

    /// 12 % higher, or 3.4 times as high.
    private func increase(_ row: Row) -> String {
        let ratio = row.perplexity / base.perplexity
        return ratio < 2
            ? "\(Format.percent(ratio - 1)) higher" : "\(Format.significant(ratio, 2)) times as high"
    }

    public var table: Table {
        var table = Table([
            .init("model"), .figures("sparsity"), .figures("bits/weight"), .figures("on disk"),
            .figures("perplexity"), .figures("prefill tokens/s"), .figures("decode tokens/s"),
        ])
        for (index, row) in rows.enumerated() {
            let error = row.standardError.isFinite ? " ± \(Format.significant(row.standardError, 2))" : ""
            table.add(
                [
                    row.title, Format.percent(row.sparsity), Format.fixed(row.bitsPerWeight, 2),
                    Format.bytes(row.bytes), Format.significant(row.perplexity, 4) + error,
                    Format.significant(row.prefillTokensPerSecond),
                    Format.significant(row.decodeTokensPerSecond),
                ], highlighted: index == 0)
        }
        return table
    }

    /// The frontier of size and quality, then speeds and bits.
    public var charts: [any PageElement] {
        func bars(_ value: (Row) -> Double) -> [BarChart.Bar] {
            rows.enumerated().map { .init($0.element.name, value($0.element), isBase: $0.offset == 0) }
        }
        return [
            ScatterChart(
                "Size and quality", x: "files on disk, MiB", y: "perplexity",
                points: rows.enumerated().map { index, row in
                    .init(
                        row.name, x: Double(row.bytes) / 0x1p20, y: row.perplexity, error: row.standardError,
                        isBase: index == 0)
                }),
            BarChart(
                "Bits per weight", unit: "bits", bars: bars(\.bitsPerWeight),
                note: "Codes, scales and masks of the prunable weights. Shorter is smaller."),
            BarChart(
                "Decode", unit: "tokens/s", bars: bars(\.decodeTokensPerSecond),
                note: "One token after another. Longer is faster; the mark is the file as given."),
            BarChart(
                "Prefill", unit: "tokens/s", bars: bars(\.prefillTokensPerSecond),
                note: "Reading a prompt. Longer is faster; the mark is the file as given."),
        ]
    }

    public var samples: [any PageElement] {
        rows.enumerated().map { Sample($0.element.title, text: $0.element.text, isBase: $0.offset == 0) }
    }
}
