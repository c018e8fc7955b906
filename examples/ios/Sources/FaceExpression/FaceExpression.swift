// Names the expression of a face by a Core ML package of fer_edge. Not compiled here: see README.md.

import CoreGraphics
import CoreML
import CoreVideo

public struct Answer {
    public let label: String
    public let probabilities: [String: Double]
}

public enum FaceExpressionError: Error { case notThisModel, notAnImage }

public final class FaceExpression {
    private let model: MLModel
    private let width: Int, height: Int

    /// `url`: the compiled model, `NAME.mlmodelc`.
    public init(contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()) throws {
        model = try MLModel(contentsOf: url, configuration: configuration)
        guard let image = model.modelDescription.inputDescriptionsByName["image"]?.imageConstraint else {
            throw FaceExpressionError.notThisModel
        }
        (width, height) = (image.pixelsWide, image.pixelsHigh)
    }

    /// `face`: one face, cropped to head and chin.
    public func classify(_ face: CGImage) throws -> Answer {
        let grey = resized(try luma(of: face), face.width, face.height)
        let input = try MLDictionaryFeatureProvider(dictionary: ["image": MLFeatureValue(pixelBuffer: try buffer(grey))])
        let output = try model.prediction(from: input)
        guard let label = output.featureValue(for: "label")?.stringValue,
              let found = output.featureValue(for: "probabilities")?.dictionaryValue else {
            throw FaceExpressionError.notThisModel
        }
        var probabilities: [String: Double] = [:]
        for (name, value) in found { probabilities[name as? String ?? ""] = value.doubleValue }
        return Answer(label: label, probabilities: probabilities)
    }

    /// Grey values 0-255. CGContext's own grey goes through colour profiles, which the training did not.
    private func luma(of face: CGImage) throws -> [Float] {
        var rgba = [UInt8](repeating: 255, count: 4 * face.width * face.height)
        let drawn = rgba.withUnsafeMutableBytes { bytes -> Bool in
            guard let context = CGContext(
                data: bytes.baseAddress, width: face.width, height: face.height, bitsPerComponent: 8,
                bytesPerRow: 4 * face.width, space: CGColorSpace(name: CGColorSpace.sRGB)!,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue
            ) else { return false }
            context.draw(face, in: CGRect(x: 0, y: 0, width: face.width, height: face.height))
            return true
        }
        guard drawn else { throw FaceExpressionError.notAnImage }
        return stride(from: 0, to: rgba.count, by: 4).map { at in
            (0.299 * Float(rgba[at]) + 0.587 * Float(rgba[at + 1]) + 0.114 * Float(rgba[at + 2])).rounded()
        }
    }

    /// Bilinear with antialiasing, as Pillow's: the triangle is as wide as the image is reduced.
    private func resized(_ grey: [Float], _ fromWidth: Int, _ fromHeight: Int) -> [Float] {
        let columns = weights(fromWidth, width), rows = weights(fromHeight, height)
        var wide = [Float](repeating: 0, count: fromHeight * width)
        for y in 0..<fromHeight {
            for (x, (first, factors)) in columns.enumerated() {
                for (offset, factor) in factors.enumerated() {
                    wide[y * width + x] += factor * grey[y * fromWidth + first + offset]
                }
            }
        }
        var small = [Float](repeating: 0, count: height * width)
        for (y, (first, factors)) in rows.enumerated() {
            for (offset, factor) in factors.enumerated() {
                for x in 0..<width { small[y * width + x] += factor * wide[(first + offset) * width + x] }
            }
        }
        return small
    }

    /// For each of `to` places: the first of `from` values that count, and the weights of those from it on.
    private func weights(_ from: Int, _ to: Int) -> [(Int, [Float])] {
        let scale = Double(from) / Double(to), support = max(scale, 1)
        return (0..<to).map { place in
            let centre = (Double(place) + 0.5) * scale
            let first = max(0, Int(centre - support + 0.5)), last = min(from, Int(centre + support + 0.5))
            let factors = (first..<last).map { max(0, 1 - abs((Double($0) + 0.5 - centre) / support)) }
            let sum = factors.reduce(0, +)
            return (first, factors.map { Float($0 / sum) })
        }
    }

    private func buffer(_ grey: [Float]) throws -> CVPixelBuffer {
        var created: CVPixelBuffer?
        CVPixelBufferCreate(nil, width, height, kCVPixelFormatType_OneComponent8, nil, &created)
        guard let buffer = created else { throw FaceExpressionError.notAnImage }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let bytes = CVPixelBufferGetBaseAddress(buffer)!.assumingMemoryBound(to: UInt8.self)
        let rowBytes = CVPixelBufferGetBytesPerRow(buffer)  // rows may be padded
        for y in 0..<height {
            for x in 0..<width { bytes[y * rowBytes + x] = UInt8(min(max(grey[y * width + x].rounded(), 0), 255)) }
        }
        return buffer
    }
}
