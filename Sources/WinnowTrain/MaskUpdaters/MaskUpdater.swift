import WinnowCore
import WinnowModels
import WinnowWeights

/// Decides, before a step, which weights of a matrix are kept from now on.
public protocol MaskUpdater: Sendable {
    /// A change of the parameter's mask before step `step` of `total`; nil: it stays.
    ///
    /// - Throws: ``SelectionError`` for weights that are not finite.
    func update(
        _ parameter: ParameterTraining, step: Int, of total: Int, on pool: KernelPool
    ) throws(SelectionError) -> MaskChange?
}

/// A mask and the one before it: what optimizers and reports must know of a change.
public struct MaskChange: Sendable {
    /// nil: everything was kept.
    public let old: SparsityMask?
    public let new: SparsityMask

    public init(from old: SparsityMask?, to new: SparsityMask) {
        self.old = old
        self.new = new
    }

    /// Weights that were kept and are pruned now.
    public var dropped: Int { (old?.keptCount ?? new.count) - common }
    /// Weights that were pruned and are kept now: their value and state begin at zero.
    public var grown: Int { new.keptCount - common }
    private var common: Int { old.map { $0.intersection(new).keptCount } ?? new.keptCount }
}
