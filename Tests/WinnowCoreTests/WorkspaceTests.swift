import Testing
import WinnowCore

@Suite struct WorkspaceTests {
    @Test func regionsAreAlignedAndApart() {
        let workspace = Workspace()
        let sizes = [1, 64, 65, 0, 4000]
        let regions = sizes.map { workspace.reserve(bytes: $0) }
        let floats = workspace.reserve(floats: 33)
        #expect(workspace.byteCount == 64 + 64 + 128 + 0 + 4032 + 192)
        workspace.commit()
        for (index, region) in regions.enumerated() {
            let pointer = workspace.pointer(region)
            #expect(UInt(bitPattern: pointer) % 64 == 0)
            pointer.initializeMemory(as: UInt8.self, repeating: UInt8(index + 1), count: region.byteCount)
        }
        for index in 0..<33 {
            #expect(workspace.floats(floats)[index] == 0)
            workspace.floats(floats)[index] = Float(index)
        }
        for (index, region) in regions.enumerated() {
            let bytes = UnsafeRawBufferPointer(start: workspace.pointer(region), count: region.byteCount)
            #expect(bytes.allSatisfy { $0 == UInt8(index + 1) })
        }
    }

    @Test func aRegionBeforeCommitIsACallersMistake() async {
        await #expect(processExitsWith: .failure) {
            let workspace = Workspace()
            _ = workspace.pointer(workspace.reserve(bytes: 8))
        }
    }
}
