import Testing
import WinnowCore

@Suite struct BufferTests {
    @Test(arguments: [0, 1, 31, 257]) func startsZeroedAndAligned(_ count: Int) {
        let buffer = Buffer<Float>(count: count)
        #expect(buffer.count == count)
        buffer.withElements { elements in
            #expect(elements.count == count)
            #expect(elements.allSatisfy { $0 == 0 })
            #expect(UInt(bitPattern: elements.baseAddress) % 64 == 0)
        }
    }

    @Test func freezesWhatWasWrittenWithoutACopy() {
        var buffer = Buffer<UInt16>(count: 33)
        var before: UnsafeRawPointer?
        buffer.withMutableElements { elements in
            for index in elements.indices { elements[index] = UInt16(index * 7) }
            before = UnsafeRawPointer(elements.baseAddress)
        }
        let storage = buffer.freeze()
        #expect(storage.byteCount == 66)
        #expect(storage.base == before)
        for index in 0..<33 {
            #expect(storage.base.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self) == UInt16(index * 7))
        }
    }

    @Test func errorsOfTheBodyComeThrough() {
        struct Refusal: Error {}
        var buffer = Buffer<UInt8>(count: 1)
        #expect(throws: Refusal.self) { try buffer.withMutableElements { _ in throw Refusal() } }
    }

    @Test func aNegativeCountIsACallersMistake() async {
        await #expect(processExitsWith: .failure) { _ = Buffer<Float>(count: -1) }
    }
}
