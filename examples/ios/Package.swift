// swift-tools-version:5.5
import PackageDescription

let package = Package(
    name: "FaceExpression",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "FaceExpression", targets: ["FaceExpression"])],
    targets: [.target(name: "FaceExpression")]
)
