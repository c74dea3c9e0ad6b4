import WinnowCompress
import WinnowData
import WinnowJSON
import WinnowTrain

extension RecipeDecoder {
    private static let corpusKeys = ["validation", "validation_share", "validation_batches", "overflow"]
    private static let distillationKeys = ["cross_entropy", "divergence", "square_head", "temperature"]
    private static let otherKeys = ["teacher", "distillation", "store", "group"]

    func finetune(_ node: RecipeNode, _ subject: RecipeNode) throws(RecipeError) -> FinetunePhase {
        var corpus = TrainingCorpus(text: try subject.read())
        corpus.validation = try node["validation"].map { node throws(RecipeError) in try node.read() }
        try node.read("validation_share", into: &corpus.validationShare)
        guard (0..<1).contains(corpus.validationShare) else {
            throw (node["validation_share"] ?? node).error(
                "\(corpus.validationShare) is not 0 to less than 1")
        }
        try node.readCount("validation_batches", into: &corpus.validationBatches)
        if let overflow = node["overflow"] {
            let word: String = try overflow.read()
            guard let known = WindowPlan.Overflow(rawValue: word) else {
                throw overflow.error("\(word) is not fail or cut")
            }
            corpus.overflow = known
        }
        var phase = FinetunePhase(corpus)
        let training = node.object(without: ["finetune"] + Self.corpusKeys + Self.otherKeys)
        phase.training = try node.naming {
            try TrainingConfiguration(
                json: Array(JSONValue.object(training).text().utf8), file: node.document.file)
        }
        if let teacher = node["teacher"] {
            let name: String = try teacher.read()
            phase.teacher = name == "given" ? .given : .model(name)
        }
        if let weights = node["distillation"] {
            guard phase.teacher != nil else { throw weights.error("it needs a teacher: given, or a model") }
            try weights.refuseOthers(than: Self.distillationKeys)
            try weights.read("cross_entropy", into: &phase.distillation.crossEntropy)
            try weights.read("divergence", into: &phase.distillation.divergence)
            try weights.read("square_head", into: &phase.distillation.squareHead)
            try weights.read("temperature", into: &phase.distillation.temperature)
            let checked = phase.distillation
            try weights.naming { try checked.validate() }
        }
        phase.store = node["store"]?.value.string == "f32" ? nil : try form(node)
        return phase
    }
}
