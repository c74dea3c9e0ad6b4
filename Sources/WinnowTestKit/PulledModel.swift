#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where `winnow pull` put SmolLM2-135M-Instruct in Q4_1; tests on it are left out where it is not.
public enum PulledModel {
    public static let path: String? = {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        let folders = [
            variable("WINNOW_TEST_MODELS"), variable("WINNOW_CACHE").map { $0 + "/models" },
            variable("HOME").map { $0 + "/.cache/winnow/models" },
        ]
        for folder in folders.compactMap(\.self) {
            let path = "\(folder)/smollm2-135m-q4_1/SmolLM2-135M-Instruct.Q4_1.gguf"
            if access(path, R_OK) == 0 { return path }
        }
        return nil
    }()
}
