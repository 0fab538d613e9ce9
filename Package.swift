// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

// The rooms of the house, lowest first. A room imports only rooms above it in this list.
let package = Package(
  name: "swift-page-cache",
  products: [
    .library(name: "PageCache", targets: ["PageCache"]),
    .executable(name: "pagecache", targets: ["pagecache"]),
  ],
  traits: [
    .trait(
      name: "ThreadSanitizer",
      description: """
        Copies frame bytes by relaxed atomic words and tells ThreadSanitizer about grace periods. \
        For builds with --sanitize=thread only.
        """),
    .trait(
      name: "RaceLaboratory",
      description: """
        Puts a scheduler and a memory model in the place of atomics, locks, fences, waits and clocks. \
        For scripts/litmus only: nothing that is built so works outside of it.
        """),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .target(name: "CPrimitives"),
    .target(name: "CFibers"),
    // The race laboratory: under its trait, Primitives hands out what it controls.
    .target(name: "RaceLaboratory", dependencies: ["CFibers", "CPrimitives"], swiftSettings: settings),
    .target(
      name: "Primitives",
      dependencies: ["CPrimitives", .target(name: "RaceLaboratory", condition: .when(traits: ["RaceLaboratory"]))],
      swiftSettings: settings),
    .target(name: "ReadCopyUpdate", dependencies: ["Primitives"], swiftSettings: settings),
    .target(name: "PageIndex", dependencies: ["Primitives", "ReadCopyUpdate"], swiftSettings: settings),
    .target(name: "Folios", dependencies: ["Primitives", "ReadCopyUpdate", "PageIndex"], swiftSettings: settings),
    .target(name: "BackingStores", dependencies: ["Primitives", "CPrimitives", system], swiftSettings: settings),
    .target(
      name: "PageCache",
      dependencies: ["Primitives", "ReadCopyUpdate", "PageIndex", "Folios", "BackingStores", system],
      swiftSettings: settings),
    .target(
      name: "PageCacheBenchmarking",
      dependencies: ["PageCache", "Folios", "PageIndex", "ReadCopyUpdate", "Primitives", "CPrimitives", system],
      swiftSettings: settings),
    .executableTarget(
      name: "pagecache", dependencies: ["PageCache", "PageCacheBenchmarking", "Primitives", arguments, system],
      swiftSettings: settings),
    // The litmus tests: they do something only with the trait RaceLaboratory. No product.
    .executableTarget(
      name: "litmus",
      dependencies: [
        "PageCache", "BackingStores", "Folios", "PageIndex", "ReadCopyUpdate", "Primitives",
        .target(name: "RaceLaboratory", condition: .when(traits: ["RaceLaboratory"])), arguments,
      ],
      path: "Sources/Litmus", swiftSettings: settings),
    // A deliberate race, for scripts/test-sanitizers to see that ThreadSanitizer sees it. No product.
    .executableTarget(name: "SanitizerCanary", dependencies: ["Primitives"], swiftSettings: settings),
    .testTarget(name: "PrimitivesTests", dependencies: ["TestSupport", "Primitives"], swiftSettings: settings),
    .testTarget(
      name: "ReadCopyUpdateTests", dependencies: ["TestSupport", "ReadCopyUpdate", "Primitives"],
      swiftSettings: settings),
    .testTarget(
      name: "PageIndexTests", dependencies: ["TestSupport", "PageIndex", "ReadCopyUpdate", "Primitives"],
      swiftSettings: settings),
    .testTarget(
      name: "FoliosTests", dependencies: ["TestSupport", "Folios", "PageIndex", "ReadCopyUpdate", "Primitives"],
      swiftSettings: settings),
    .testTarget(
      name: "BackingStoresTests", dependencies: ["TestSupport", "BackingStores", "Primitives", "CPrimitives", system],
      swiftSettings: settings),
    .testTarget(name: "RaceLaboratoryTests", dependencies: ["RaceLaboratory"], swiftSettings: settings),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .target(
      name: "TestSupport", dependencies: ["Primitives"], path: "Tests/TestSupport", swiftSettings: settings),
    .testTarget(
      name: "PageCacheTests",
      dependencies: [
        "CTestSupport", "TestSupport", "PageCache", "PageCacheBenchmarking", "BackingStores", "Primitives", system,
      ],
      swiftSettings: settings),
  ]
)
