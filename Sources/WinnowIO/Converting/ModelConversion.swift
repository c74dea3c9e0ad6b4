import WinnowCore
import WinnowWeights

/// One model written in another layout or format.
///
/// Without a format nothing is lost: a matrix stays in its own grid where the target can hold it, and becomes
/// float32 where it cannot. With one, matrices are rounded to the nearest code of it; those that have it already
/// are not touched. A 4-bit format is for the blocks: the embedding and the head, which 4 bits cost most, become
/// Q8_0 then (in a GGUF file) or stay as they are (in a folder).
///
/// A masked format prunes nothing: its mask is the zeros that a matrix has. It too is for the blocks; the
/// embedding and the head get its dense twin.
public struct ModelConversion: Sendable, Equatable {
    /// What is written.
    public enum Target: String, Sendable, CaseIterable {
        /// A folder that transformers opens: plain floats only.
        case hf
        /// A GGUF file.
        case gguf
        /// The folder of `hf`, under the name of what happens to a packed model.
        case dense
        /// A folder in Hugging Face layout whose matrices keep packed formats, for Winnow.
        case packed
        /// A folder that compressed-tensors and transformers open: int8 and int4 as they are, the others plain floats.
        case compressedTensors = "compressed-tensors"
    }

    public let target: Target
    public let format: WeightFormat?
    /// A safetensors file ends before the tensor that would make it larger.
    public var maxShardBytes = 5_000_000_000
    /// Columns that share a scale in int4.
    public var group = 64
    /// The formats of the matrices that it is about; others stay as they are where the target can hold them.
    public var plan: FormatPlan?

    /// - Throws: ``ConversionError`` for a format that the target cannot hold.
    public init(to target: Target, format: WeightFormat? = nil) throws(ConversionError) {
        self.target = target
        self.format = format
        guard let format else { return }
        let allowed = ModelConversion.formats(for: target)
        guard allowed.contains(format) else {
            throw .formatNotForTarget(
                format: format.name, target: target.rawValue, allowed: allowed.map(\.name))
        }
    }

    /// The formats that can be asked of a target: those that weights can be rounded to.
    public static func formats(for target: Target) -> [WeightFormat] {
        switch target {
        case .hf, .dense: [.f32, .f16, .bf16]
        case .gguf: GGMLType.supported.map(\.format).filter(\.canEncode)
        case .packed: WeightFormats.all.filter(\.canEncode)
        case .compressedTensors: [.int8, .int4]
        }
    }

    /// The format that a matrix gets.
    ///
    /// - Parameter isBlock: whether it is a linear of a block, not the embedding or the head.
    public func format(of source: WeightFormat, isBlock: Bool) -> WeightFormat {
        if let wanted = self.format {
            if isBlock { return wanted }
            if target == .compressedTensors { return ModelConversion.plainFormat(of: source) }
            let format = wanted.dense
            if format.codeBits > 4 { return format }
            return target == .gguf && GGMLType.with(format: source) == nil || source.isFloat ? .q8_0 : source
        }
        switch target {
        case .hf, .dense: return ModelConversion.plainFormat(of: source)
        case .compressedTensors:
            let dense = source.dense
            return isBlock && QuantizedLayers.holds(dense) ? dense : ModelConversion.plainFormat(of: source)
        case .gguf:
            if GGMLType.with(format: source) != nil { return source }
            let dense = source.dense
            return source != .maskedQ4_1 && GGMLType.with(format: dense) != nil ? dense : .f32
        case .packed: return source
        }
    }

    /// The plain floats that hold every value of a format.
    private static func plainFormat(of source: WeightFormat) -> WeightFormat {
        source.isFloat && !source.isMasked ? source : source == .maskedF16 ? .f16 : .f32
    }

    /// The format that a matrix gets under its name: scores of experts stay plain floats.
    public func format(of source: WeightFormat, _ name: String, in configuration: ModelConfiguration)
        -> WeightFormat
    {
        if let planned = plan?.format(of: name) { return planned }
        let format = format(of: source, isBlock: configuration.isBlockLinear(name))
        guard configuration.isRouter(name), !format.isFloat || format.isMasked else { return format }
        return source.isFloat && !source.isMasked ? source : .f32
    }

    /// Writes `source` at `path`, complete or not at all.
    ///
    /// One tensor is in memory at a time, in float32 at most.
    ///
    /// - Parameter progress: called with the tensors done and their number.
    /// - Throws: ``CheckpointError``, `WeightError` inside it, `FileError`.
    @discardableResult
    public func write(
        _ source: Checkpoint, to path: String, overwrite: Bool, on pool: KernelPool,
        progress: @escaping (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws -> CheckpointWriter.Written {
        var done = 0
        func tensor(_ name: String) throws -> CheckpointTensor {
            let result: CheckpointTensor
            switch try source.tensor(name) {
            case .vector(let vector): result = .vector(vector)
            case .matrix(let matrix): result = .matrix(try converted(matrix, name, of: source, on: pool))
            }
            progress(done, source.names.count)
            done += 1
            return result
        }
        defer { progress(done, source.names.count) }
        guard target == .gguf else {
            var writer = CheckpointWriter(path, overwrite: overwrite, maxShardBytes: maxShardBytes)
            writer.quantizesForOthers = target == .compressedTensors
            return try writer.write(source, tensor: tensor)
        }
        return try GGUFWriter(path, overwrite: overwrite).write(source, tensor: tensor)
    }

    private func converted(
        _ matrix: WeightMatrix, _ name: String, of source: Checkpoint, on pool: KernelPool
    ) throws -> WeightMatrix {
        let format = format(of: matrix.format, name, in: source.configuration)
        guard format != matrix.format else { return matrix }
        do {
            guard !format.isMasked else {
                return try matrix.maskingZeros(in: format, group: group, on: pool, name: name)
            }
            // Codes that only lose their mask keep their groups.
            let group = self.format == nil && matrix.group > 0 ? matrix.group : self.group
            return try matrix.converted(to: format, group: group, on: pool, name: name)
        } catch { throw CheckpointError.badWeights(file: source.path, error: error) }
    }
}
