import WinnowCore
import WinnowIO
import WinnowJSON

// A profile is a safetensors file: `rankings.L` [width] and `clusters.L` [clusters, width] of I32, the most used neuron
// first and -1 after the last that was used; `centres` [clusters, width of the deep block] and `texts` [clusters]; what
// is no array stands in the metadata.
extension NeuronProfile {
    private static let version = "1"

    /// - Throws: ``CheckpointError`` for a place that may not be written, ``FileError``.
    public func write(to path: String, overwrite: Bool) throws {
        var tensors: [(name: String, tensor: Tensor)] = []
        func add(_ name: String, _ rows: [[Int]], _ width: Int, shape: [Int]) {
            let values = rows.flatMap { row in
                row.map { Int32($0).littleEndian } + [Int32](repeating: -1, count: width - row.count)
            }
            tensors.append((name, Tensor(dtype: .i32, shape: shape, bytes: StorageSlice(copying: values))))
        }
        for (layer, width) in widths.enumerated() {
            add("rankings.\(layer)", [rankings[layer]], width, shape: [width])
            add(
                "clusters.\(layer)", clusters.map { $0.rankings[layer] }, width,
                shape: [clusters.count, width])
        }
        add("texts", [clusters.map(\.texts)], clusters.count, shape: [clusters.count])
        tensors.append(
            ("centres", Tensor(clusters.flatMap(\.centre), shape: [clusters.count, widths[clusterLayer]])))
        try SafetensorsFile.write(
            tensors,
            metadata: [
                ("winnow_neurons", NeuronProfile.version), ("alpha", "\(predicate.alpha)"),
                ("beta", "\(predicate.beta)"), ("by", predicate.ranking.rawValue),
                ("layers", "\(widths.count)"), ("cluster_layer", "\(clusterLayer)"), ("tokens", "\(tokens)"),
                ("text_sha256", textSha256), ("model_sha256", modelSha256),
            ], to: path, overwrite: overwrite)
    }

    /// - Throws: ``FileError``, ``NeuronError/damagedProfile(file:reason:)``.
    public init(reading path: String) throws {
        let reader: ProfileReader
        do { reader = try ProfileReader(SafetensorsFile(path)) } catch let error as SafetensorsError {
            throw NeuronError.damagedProfile(file: path, reason: "\(error)")
        }
        guard try reader.text("winnow_neurons") == NeuronProfile.version else {
            throw reader.damaged("a version other than \(NeuronProfile.version)")
        }
        let layers = try reader.number("layers", Int.init) { (1...100_000).contains($0) }
        let deep = try reader.number("cluster_layer", Int.init) { (0..<layers).contains($0) }
        let counted: NeuronPredicate
        do {
            let shares = try (
                reader.number("alpha", Double.init) { _ in true },
                reader.number("beta", Double.init) { _ in true }
            )
            guard let ranking = NeuronPredicate.Ranking(rawValue: try reader.text("by")) else {
                throw reader.damaged("'by' is \(try reader.text("by"))")
            }
            counted = try NeuronPredicate(ranking: ranking, alpha: shares.0, beta: shares.1)
        } catch NeuronError.badShare(let name, let value) { throw reader.damaged("\(name) is \(value)") }

        let centres = try reader.tensor("centres", .f32, dimensions: 2)
        let count = centres.shape[0]
        let values = centres.floats() ?? []
        guard count > 0, values.allSatisfy({ (0...1).contains($0) }) else {
            throw reader.damaged("centres that are no shares")
        }
        let texts = try reader.integers("texts", shape: [count])
        guard texts.allSatisfy({ $0 > 0 }) else { throw reader.damaged("a cluster without texts") }
        var widths: [Int] = []
        var rankings: [[Int]] = []
        var clusterRankings = [[[Int]]](repeating: [], count: count)
        for layer in 0..<layers {
            let width = try reader.tensor("rankings.\(layer)", .i32, dimensions: 1).shape[0]
            widths.append(width)
            rankings.append(try reader.ranking("rankings.\(layer)", 0, of: [width], width))
            for cluster in 0..<count {
                clusterRankings[cluster].append(
                    try reader.ranking("clusters.\(layer)", cluster, of: [count, width], width))
            }
        }
        let width = centres.shape[1]
        guard width == widths[deep] else { throw reader.damaged("centres of \(width) neurons") }
        self.init(
            predicate: counted, widths: widths, rankings: rankings, clusterLayer: deep,
            clusters: (0..<count).map { cluster in
                Cluster(
                    centre: Array(values[cluster * width..<(cluster + 1) * width]),
                    rankings: clusterRankings[cluster], texts: texts[cluster])
            }, tokens: try reader.number("tokens", Int.init) { $0 > 0 },
            textSha256: try reader.text("text_sha256"), modelSha256: try reader.text("model_sha256"))
    }
}

/// Reads the parts of a profile, refusing what does not fit.
private struct ProfileReader {
    let file: SafetensorsFile

    init(_ file: SafetensorsFile) { self.file = file }

    func damaged(_ reason: String) -> NeuronError { .damagedProfile(file: file.path, reason: reason) }

    func text(_ name: String) throws(NeuronError) -> String {
        guard let text = file.metadata[name]?.string else { throw damaged("no '\(name)' in its header") }
        return text
    }

    func number<Value>(
        _ name: String, _ parse: (String) -> Value?, _ isGood: (Value) -> Bool
    ) throws(NeuronError) -> Value {
        let text = try text(name)
        guard let value = parse(text), isGood(value) else { throw damaged("'\(name)' is \(text)") }
        return value
    }

    func tensor(_ name: String, _ dtype: DType, dimensions: Int) throws(NeuronError) -> Tensor {
        guard let tensor = file[name] else { throw damaged("no tensor \(name)") }
        guard tensor.dtype == dtype, tensor.shape.count == dimensions else {
            throw damaged("\(name) is \(tensor.dtype.rawValue) \(tensor.shape)")
        }
        return tensor
    }

    func integers(_ name: String, shape: [Int]) throws(NeuronError) -> [Int] {
        let tensor = try tensor(name, .i32, dimensions: shape.count)
        guard tensor.shape == shape else { throw damaged("\(name) is \(tensor.shape), not \(shape)") }
        return (0..<tensor.count).map {
            Int(Int32(littleEndian: tensor.bytes.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)))
        }
    }

    /// One row of neurons up to the first -1: each once, none outside of the block.
    func ranking(_ name: String, _ row: Int, of shape: [Int], _ width: Int) throws(NeuronError) -> [Int] {
        let values = try integers(name, shape: shape)[row * width..<(row + 1) * width]
        let neurons = values.prefix { $0 >= 0 }
        guard values.dropFirst(neurons.count).allSatisfy({ $0 == -1 }), neurons.allSatisfy({ $0 < width }),
            Set(neurons).count == neurons.count
        else { throw damaged("\(name) is no order of \(width) neurons") }
        return Array(neurons)
    }
}
