import WinnowCompress
import WinnowJSON
import WinnowTrain

extension Recipe {
    /// The recipe with all defaults written out; ``RecipeDecoder`` reads it back.
    public var json: JSONObject {
        var json = JSONObject([
            ("seed", .integer(Int64(clamping: seed))),
            (
                "calibration",
                .object(
                    JSONObject([
                        ("text", calibration.text.map { .string($0) } ?? .null),
                        ("samples", .integer(Int64(calibration.samples))),
                        ("length", .integer(Int64(calibration.length))),
                        ("activations", .string(calibration.activations.rawValue)),
                    ]))
            ),
        ])
        if let evaluation {
            json["evaluation"] = .object(
                JSONObject([
                    ("text", evaluation.text.map { .string($0) } ?? .null),
                    ("window", .integer(Int64(evaluation.window))),
                    ("max_windows", evaluation.maxWindows.map { .integer(Int64($0)) } ?? .null),
                ]))
        }
        json["phases"] = .array(phases.map { .object($0.json) })
        return json
    }
}

extension Recipe.Phase {
    var json: JSONObject {
        switch self {
        case .compress(let phase): phase.json
        case .drop(let phase): phase.json
        case .finetune(let phase): phase.json
        }
    }
}

extension CompressionPhase {
    var json: JSONObject {
        var json = JSONObject([(purpose == .pruning ? "prune" : "quantize", .string(methodName))])
        for (key, value) in method.settings.pairs { json[key] = value }
        if let scheme {
            json["scheme"] = .string(scheme)
        } else if !method.leavesFloats {
            json["store"] = .string(store.word)
        }
        if let group = store.groupColumns { json["group"] = .integer(Int64(group)) }
        if purpose == .pruning {
            json["allocation"] = .string(profile == nil ? allocation.name : "profile")
            if let profile { json["profile"] = .string(profile) }
            if case .outliers(let threshold, let spread) = allocation {
                json["owl_threshold"] = .number(threshold)
                json["owl_spread"] = .number(spread)
            }
        }
        json["targets"] = .array(selection.targets.map { .string($0) })
        json["ignore"] = .array(selection.ignore.map { .string($0) })
        return json
    }
}

extension DropPhase {
    var json: JSONObject {
        var json = JSONObject([
            ("drop", .string(structure.rawValue)), ("fraction", .number(fraction)),
        ])
        if structure != .layers {
            json["reconstruct"] = .bool(reconstructs)
            json["damping"] = .number(damping)
            json["store"] = .string(store?.name ?? "source")
        }
        return json
    }
}

extension FinetunePhase {
    var json: JSONObject {
        var json = JSONObject([("finetune", .string(corpus.text))])
        if let validation = corpus.validation { json["validation"] = .string(validation) }
        json["validation_share"] = .number(corpus.validationShare)
        json["validation_batches"] = .integer(Int64(corpus.validationBatches))
        json["overflow"] = .string(corpus.overflow.rawValue)
        for (key, value) in training.json.pairs { json[key] = value }
        if let teacher {
            json["teacher"] =
                switch teacher {
                case .given: "given"
                case .model(let path): .string(path)
                }
            json["distillation"] = .object(
                JSONObject([
                    ("cross_entropy", .number(distillation.crossEntropy)),
                    ("divergence", .number(distillation.divergence)),
                    ("square_head", .number(distillation.squareHead)),
                    ("temperature", .number(distillation.temperature)),
                ]))
        }
        json["store"] = .string(store?.word ?? "f32")
        if let group = store?.groupColumns { json["group"] = .integer(Int64(group)) }
        return json
    }
}

extension StoredForm {
    /// As recipes write it.
    var word: String {
        if case .int4 = self { "int4" } else { "\(self)" }
    }

    var groupColumns: Int? {
        if case .int4(let group, _) = self { group } else { nil }
    }
}
