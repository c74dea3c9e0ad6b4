import WinnowCompress
import WinnowData
import WinnowJSON
import WinnowTrain
import WinnowYAML

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
        phase.training = try training(node, others: ["finetune"] + Self.corpusKeys + Self.otherKeys)
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

    /// Reads a recipe of `winnow train --recipe`: the keys of a training alone.
    public func training(_ document: YAMLDocument) throws(RecipeError) -> TrainingConfiguration {
        try training(RecipeNode(document), others: [])
    }

    /// - Parameter others: keys that the mapping has beside those of the training.
    private func training(_ node: RecipeNode, others: [String]) throws(RecipeError) -> TrainingConfiguration {
        _ = try node.keys()
        let text = JSONValue.object(node.object(without: others)).text()
        func unknown(_ place: RecipeNode, _ key: String, _ known: [String]) -> RecipeError {
            place.child(key).error("there is no such key; there are \(known.joined(separator: ", "))")
        }
        func bad(_ place: RecipeNode, _ key: String, _ value: String, _ expected: String) -> RecipeError {
            place.child(key).error("\(value) is not \(expected)")
        }
        do {
            return try TrainingConfiguration(json: Array(text.utf8), file: node.document.file)
        } catch TrainingError.unknownKey(let place, let key, let known) {
            let isOuter = place == "training"
            throw unknown(isOuter ? node : node.child(place), key, known + (isOuter ? others : []))
        } catch TrainingError.badValue(let key, let value, let expected) {
            throw bad(node, key, value, expected)
        } catch OptimizerError.unknownKey(let key, let known) {
            throw unknown(node.child("optimizer"), key, known)
        } catch OptimizerError.badValue(let key, let value, let expected) {
            throw bad(node.child("optimizer"), key, value, expected)
        } catch let error as ScheduleError {
            // A schedule may hold another: the error says which kind it is.
            throw node.child("learning_rate").error("\(error)")
        } catch TrainingError.badRecipe(_, let reason) {
            throw node.error(reason)
        } catch { throw node.error("\(error)") }
    }
}
