// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "own-method",
    dependencies: [.package(name: "winnow", path: "../..")],
    targets: [
        .executableTarget(
            name: "OwnMethod",
            dependencies: [
                .product(name: "WinnowKit", package: "winnow"),
                .product(name: "WinnowRecipes", package: "winnow"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
