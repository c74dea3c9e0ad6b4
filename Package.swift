// swift-tools-version: 6.2
import PackageDescription

// Floors: an import never goes up, siblings never import each other (Tools/check-imports checks it).
let package = Package(
    name: "winnow",
    products: [
        .executable(name: "winnow", targets: ["winnow-cli"]),
        .library(name: "WinnowKit", targets: ["WinnowKit"]),
        .library(name: "WinnowRecipes", targets: ["WinnowRecipes"]),
    ],
    traits: [
        .trait(name: "Server", description: "Reserved for the OpenAI-compatible server; off by default.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: [
        // Floor 0
        .target(name: "CWinnow", exclude: []),
        .target(name: "CWinnowCases", dependencies: ["CWinnow"]),
        .target(name: "CWinnowTexts", exclude: ["texts"]),
        .target(name: "WinnowJSON"),
        .target(name: "WinnowNumbers"),
        // Floor 1
        .target(name: "WinnowCore", dependencies: ["CWinnow", "WinnowNumbers"]),
        .target(name: "WinnowText", dependencies: ["WinnowJSON"]),
        .target(name: "WinnowReport", dependencies: ["WinnowJSON", "WinnowNumbers"]),
        .target(name: "WinnowYAML", dependencies: ["WinnowJSON", .product(name: "Yams", package: "Yams")]),
        // Floor 2
        .target(name: "WinnowWeights", dependencies: ["WinnowCore", "WinnowNumbers"]),
        .target(name: "WinnowData", dependencies: ["WinnowCore", "WinnowText", "WinnowNumbers"]),
        // Floor 3
        .target(name: "WinnowIO", dependencies: ["WinnowWeights", "WinnowText", "WinnowNumbers"]),
        // Floor 4
        .target(name: "WinnowModels", dependencies: ["WinnowIO"]),
        // Floor 5
        .target(name: "WinnowEval", dependencies: ["WinnowYAML", "WinnowModels", "WinnowData"]),
        .target(name: "WinnowGenerate", dependencies: ["WinnowModels"]),
        // Floor 6
        .target(name: "WinnowCompress", dependencies: ["WinnowEval"]),
        .target(name: "WinnowTrain", dependencies: ["WinnowEval", "WinnowReport", "CWinnow"]),
        // Floor 7
        .target(
            name: "WinnowRecipes",
            dependencies: ["WinnowCompress", "WinnowTrain", "WinnowGenerate", "WinnowYAML"]),
        // Facade
        .target(name: "WinnowKit", dependencies: ["WinnowGenerate", "WinnowCompress"]),
        // Floor 8
        .executableTarget(
            name: "winnow-cli",
            dependencies: [
                "WinnowKit", "WinnowGenerate", "WinnowTrain", "WinnowRecipes", "WinnowYAML", "WinnowData",
                "WinnowReport", "CWinnowTexts",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]),
        // Tests
        .target(name: "WinnowTestKit", dependencies: ["WinnowModels", "WinnowJSON", "WinnowNumbers"]),
        .testTarget(name: "WinnowCoreTests", dependencies: ["WinnowCore", "CWinnow"]),
        .testTarget(name: "WinnowKernelTests", dependencies: ["CWinnow", "CWinnowCases"]),
        .testTarget(name: "WinnowTextTests", dependencies: ["WinnowText", "WinnowData"]),
        .testTarget(name: "WinnowYAMLTests", dependencies: ["WinnowYAML"]),
        .testTarget(name: "WinnowReportTests", dependencies: ["WinnowReport"]),
        .testTarget(name: "WinnowWeightsTests", dependencies: ["WinnowWeights", "WinnowTestKit"]),
        .testTarget(name: "WinnowIOTests", dependencies: ["WinnowIO", "WinnowTestKit"]),
        .target(name: "CAllocations", path: "Tests/CAllocations"),
        .testTarget(
            name: "WinnowModelsTests", dependencies: ["WinnowModels", "WinnowTestKit", "CAllocations"]),
        .testTarget(name: "WinnowGenerateTests", dependencies: ["WinnowGenerate", "WinnowTestKit"]),
        .testTarget(name: "WinnowDataTests", dependencies: ["WinnowData", "WinnowTestKit"]),
        .testTarget(name: "WinnowEvalTests", dependencies: ["WinnowEval", "WinnowTestKit"]),
        .testTarget(name: "WinnowCompressTests", dependencies: ["WinnowCompress", "WinnowTestKit"]),
        .testTarget(
            name: "WinnowTrainTests",
            dependencies: ["WinnowTrain", "WinnowIO", "WinnowJSON", "WinnowTestKit"]),
        .testTarget(name: "WinnowRecipesTests", dependencies: ["WinnowRecipes", "WinnowTestKit"]),
        .testTarget(name: "WinnowCommandTests", dependencies: ["winnow-cli", "WinnowJSON", "WinnowTestKit"]),
    ],
    swiftLanguageModes: [.v6]
)

// Fuzzers need libFuzzer's loop and instrumented code: Tools/fuzz builds them, nobody else.
if Context.environment["WINNOW_FUZZING"] != nil {
    package.targets.append(
        .executableTarget(
            name: "winnow-fuzz", dependencies: ["WinnowTrain", "WinnowTestKit"], path: "Fuzzing"))
}
