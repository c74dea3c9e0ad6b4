import ArgumentParser
import WinnowGenerate
import WinnowModels
import WinnowTrain

/// Adapters that `generate` and `chat` run beside a model.
struct AdapterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A LoRA adapter to run beside the model, which stays as it is: a folder of PEFT or 'winnow finetune', "
                + "perhaps with a name for it. May be repeated; the first one answers where none is named.",
            valueName: "folder[:name]"), completion: .directory)
    var adapter: [String] = []
    @Option(help: ArgumentHelp("Multiplies what adapters add.", valueName: "factor"))
    var adapterScale = 1.0

    func validate() throws {
        guard adapterScale.isFinite else {
            throw ValidationError("--adapter-scale is a number, not \(adapterScale)")
        }
        guard adapterScale == 1 || !adapter.isEmpty else {
            throw ValidationError("--adapter-scale needs --adapter")
        }
        let names = adapter.map { Self.parts($0).name }
        for (index, name) in names.enumerated() where names[..<index].contains(name) {
            throw ValidationError(
                "two adapters are named '\(name)': give one another name, --adapter FOLDER:NAME")
        }
    }

    /// - Throws: `ValidationError` for both at once: an adapter fits whole networks.
    func refuse(_ neurons: CoreNeuronArguments) throws {
        guard adapter.isEmpty || neurons.coreNeurons == nil else {
            throw ValidationError("--adapter runs beside whole networks, not with --core-neurons")
        }
    }

    /// `FOLDER:NAME`, or a folder whose last part is the name.
    static func parts(_ text: String) -> (folder: String, name: String) {
        if let colon = text.lastIndex(of: ":"), !FileTree.isDirectory(text), colon != text.startIndex {
            let name = text[text.index(after: colon)...]
            if !name.isEmpty, !name.contains("/") { return (String(text[..<colon]), String(name)) }
        }
        let name = text.split(separator: "/").last.map(String.init) ?? text
        return (text, name)
    }

    /// Reads all of them for a model, in the order given.
    ///
    /// - Throws: `AdapterError`, `RunningAdapterError`, `FileError`.
    func open(for model: LanguageModel) throws -> AdapterSet {
        AdapterSet(
            try adapter.map { text in
                let (folder, name) = Self.parts(text)
                return try LowRankAdapter(reading: folder, for: model).running(
                    named: name, for: model, strength: adapterScale)
            })
    }
}

/// Adapters by name; the first is the one to take where none is named.
struct AdapterSet: Sendable {
    let all: [RunningAdapter]

    init(_ all: [RunningAdapter]) { self.all = all }

    /// - Parameter name: nil: the first; empty: none, the model alone.
    func named(_ name: String?) throws(CommandError) -> RunningAdapter? {
        guard let name else { return all.first }
        if name.isEmpty { return nil }
        if let found = all.first(where: { $0.name == name }) { return found }
        let names = all.map(\.name).joined(separator: ", ")
        throw CommandError(
            "no adapter '\(name)'; " + (all.isEmpty ? "give one with --adapter" : "there are \(names)"))
    }
}
