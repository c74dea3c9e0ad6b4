import Testing
import WinnowCore

@Suite struct TensorTests {
    @Test func float32IsCopiedBitForBit() {
        let values: [Float] = [0, -0.0, 1.5, .infinity, -.greatestFiniteMagnitude, .leastNonzeroMagnitude]
        let tensor = Tensor(values, shape: [2, 3])
        #expect(tensor.count == 6)
        #expect(tensor.floats()?.map(\.bitPattern) == values.map(\.bitPattern))
    }

    @Test func halvesAreWidenedFromAnyAlignment() {
        // One byte of something else in front.
        let bytes: [UInt8] = [0xFF, 0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00, 0x00, 0x7C]
        let slice = StorageSlice(Storage(copying: bytes), offset: 1)
        #expect(Tensor(dtype: .f16, shape: [4], bytes: slice).floats() == [1, -2, 0x1p-24, .infinity])
        #expect(Tensor(dtype: .bf16, shape: [2, 2], bytes: slice).floats() == [0x1p-7, -2, 0x1p-133, 0x1p121])
    }

    @Test func anEmptyTensorHasNoFloats() {
        for dtype in [DType.f32, .f16, .bf16] {
            let tensor = Tensor(dtype: dtype, shape: [0, 5], bytes: StorageSlice(copying: [UInt8]()))
            #expect(tensor.floats() == [])
        }
    }

    @Test(arguments: DType.allCases) func onlyFloatsOfModelsAreFloats(_ dtype: DType) {
        let tensor = Tensor(
            dtype: dtype, shape: [3], bytes: StorageSlice(copying: [UInt8](repeating: 0, count: 3 * dtype.byteCount)))
        #expect((tensor.floats() != nil) == [.f32, .f16, .bf16].contains(dtype))
    }

    @Test func aShapeThatIsNotItsBytesIsACallersMistake() async {
        await #expect(processExitsWith: .failure) {
            _ = Tensor(dtype: .f16, shape: [3], bytes: StorageSlice(copying: [UInt8](repeating: 0, count: 5)))
        }
    }
}
