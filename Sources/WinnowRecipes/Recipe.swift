import WinnowCompress
import WinnowData
import WinnowJSON
import WinnowModels
import WinnowTrain
import WinnowWeights

/// What is done to a model, phase after phase, as data.
public struct Recipe: Sendable {
    public var seed: UInt64 = 0
    public var calibration = Calibration()
    /// nil: nothing is measured.
    public var evaluation: Evaluation?
    public var phases: [Phase] = []

    public init() {}

    /// Whether any phase makes zeros.
    public var prunes: Bool {
        phases.contains { phase in
            switch phase {
            case .compress(let phase): phase.method.goal.sparsity > 0
            case .drop: false
            case .finetune(let phase): phase.training.pruning != nil
            }
        }
    }

    /// Whether another seed gives another model: calibration windows are drawn, and batches.
    public var dependsOnSeed: Bool {
        phases.contains { phase in
            // What is dropped is found on calibration windows, what is trained on batches.
            guard case .compress(let phase) = phase else { return true }
            return phase.pruner(threads: 1, seed: seed, calibration).needsCalibration
        }
    }

    /// The text that phases calibrate on.
    public struct Calibration: Sendable {
        /// nil: the one inside Winnow.
        public var text: String?
        public var samples = 128
        public var length = 512
        public var activations = ActivationMode.exact

        public init() {}
    }

    /// Perplexity before the first phase and after each.
    public struct Evaluation: Sendable {
        /// nil: the one inside Winnow.
        public var text: String?
        public var window = 512
        /// nil: all.
        public var maxWindows: Int?

        public init() {}
    }

    public enum Phase: Sendable {
        case compress(CompressionPhase)
        case drop(DropPhase)
        case finetune(FinetunePhase)
    }
}

/// Pruning or quantization by one method.
public struct CompressionPhase: Sendable {
    public var method: any LayerMethod
    public var purpose: MethodRegistry.Purpose
    public var store: StoredForm
    public var allocation = SparsityAllocation.uniform
    /// The model whose layers' zeros are followed, instead of an allocation.
    public var profile: String?
    public var selection = LayerSelection.all
    /// The name that bits of weights and inputs go by.
    public var scheme: String?

    public init(
        _ method: any LayerMethod, _ purpose: MethodRegistry.Purpose = .pruning, store: StoredForm = .source
    ) {
        self.method = method
        self.purpose = purpose
        self.store = store
    }

    public var methodName: String { type(of: method).name }

    /// `wanda, 0.5 by row`.
    public var summary: String {
        method.leavesFloats ? methodName : "\(methodName), \(scheme ?? method.goal.summary)"
    }

    func pruner(threads: Int, seed: UInt64, _ calibration: Recipe.Calibration) -> SequentialPruner {
        var pruner = SequentialPruner(method, threads: threads)
        pruner.store = store
        pruner.allocation = allocation
        pruner.selection = selection
        pruner.activations = calibration.activations
        pruner.seed = seed
        return pruner
    }
}

/// Neurons, heads or layers dropped whole: what is left is a smaller dense model.
public struct DropPhase: Sendable {
    public var structure: Structure
    public var fraction: Double
    /// Whether what stays makes up for what goes; layers are not made up for.
    public var reconstructs: Bool
    public var damping = 0.01
    /// How projections are kept whose columns can't stay packed; nil: Q8_0, or as floats where the source has floats.
    public var store: WeightFormat?

    public init(_ structure: Structure, fraction: Double) {
        self.structure = structure
        self.fraction = fraction
        reconstructs = structure != .layers
    }

    /// `drop 0.25 of neurons`.
    public var summary: String { "drop \(fraction) of \(structure.rawValue)" }

    func pruner(threads: Int, _ calibration: Recipe.Calibration) -> StructuredPruner {
        var pruner = StructuredPruner(structure, fraction: fraction, threads: threads)
        pruner.reconstructs = reconstructs
        pruner.damping = damping
        pruner.store = store
        pruner.activations = calibration.activations
        return pruner
    }
}

/// Training of all weights; what is zero in the linears stays zero.
public struct FinetunePhase: Sendable {
    public var corpus: TrainingCorpus
    public var training = TrainingConfiguration()
    public var teacher: Teacher?
    public var distillation = DistillationWeights()
    /// How trained matrices are kept; `source` rounds to the grid that a matrix had. nil: float32.
    public var store: StoredForm? = .source

    public init(_ corpus: TrainingCorpus) { self.corpus = corpus }

    /// Whom the student is held to.
    public enum Teacher: Sendable, Equatable {
        /// The model as it was given, before the first phase.
        case given
        case model(String)
    }

    /// `finetune on book.txt, 200 steps`.
    public var summary: String {
        "finetune on \(corpus.text), \(training.steps) steps" + (teacher == nil ? "" : ", distilled")
    }
}

extension Recipe.Phase {
    public var summary: String {
        switch self {
        case .compress(let phase): phase.summary
        case .drop(let phase): phase.summary
        case .finetune(let phase): phase.summary
        }
    }
}
