import Testing
import WinnowCore
import WinnowIO
import WinnowModels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Gradients of a whole model against PyTorch's, where `Tools/make-model-gradients.py` has put them.
@Suite(.enabled(if: getenv("WINNOW_GRADIENTS") != nil, "needs WINNOW_GRADIENTS"))
struct ModelGradientTests {
    @Test func everyGradientIsPyTorchs() throws {
        let file = try SafetensorsFile(String(cString: getenv("WINNOW_GRADIENTS")))
        let folder = try #require(getenv("WINNOW_GRADIENTS_MODEL").map { String(cString: $0) })
        let model = try LanguageModel(Checkpoint.open(folder))
        let pool = try KernelPool(threads: 2)
        for parameter in model.parameters { parameter.beginTraining(on: pool) }
        let idTensor = try #require(file["ids"])
        let ids = (0..<idTensor.count).map {
            idTensor.bytes.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self)
        }
        let twin = DecoderTwin(model, on: pool)
        let loss = try twin.loss(DecoderBatch(windows: [ids]))
        let expected = try #require(file["loss"]).bytes.bytes.loadUnaligned(as: Double.self)
        #expect(abs(Double(loss.scalar) - expected) < 1e-5 * expected)
        twin.context.backward(loss)
        var worst = (0.0, "")
        for parameter in model.parameters.compactMap(\.training) {
            let theirs = try #require(file[parameter.name]?.floats(), "\(parameter.name)")
            var (error, scale) = (0.0, 0.0)
            for (a, b) in zip(parameter.gradients, theirs) {
                error += (Double(a) - Double(b)) * (Double(a) - Double(b))
                scale += Double(b) * Double(b)
            }
            let relative = (error / scale).squareRoot()
            if relative > worst.0 { worst = (relative, parameter.name) }
            #expect(relative < 1e-4, "\(parameter.name)")
        }
        print("\(model.parameters.count) gradients; the largest relative error is \(worst.0), of \(worst.1)")
    }
}
