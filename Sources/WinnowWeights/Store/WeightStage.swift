import WinnowCore

/// Matrices whose bytes are read from their files together, and where each of them stands in the memory they are
/// read into: a block of a model, or a part of its head.
package struct WeightStage: Sendable {
    /// A run of a file's bytes: matrices that stand side by side are read as one.
    struct Extent: Sendable {
        let file: String
        /// Multiples of the reader's alignment; the last bytes may lie past the end of the file.
        let offset: Int
        let byteCount: Int
        /// Those that hold weights.
        let needed: Int
        let place: Int
    }

    /// As their files have them, of which the shape and places are looked at, never the bytes.
    private let templates: [(name: String, matrix: WeightMatrix)]
    let extents: [Extent]
    /// Memory that it is read into.
    package let slotBytes: Int
    /// Bytes of the matrices.
    package let byteCount: Int

    /// Extents begin at multiples of this in memory and in files: what every disk asks of direct reads.
    package static let alignment = 4096
    /// Bytes between two matrices that are read along rather than left out.
    private static let gap = 1 << 16

    /// nil when a matrix is not a part of a mapped file.
    package init?(_ matrices: [(name: String, matrix: WeightMatrix)]) {
        var ranges: [(file: String, range: Range<Int>)] = []
        for (_, matrix) in matrices {
            for slice in matrix.parts.slices {
                guard let file = slice.storage.file else { return nil }
                ranges.append((file, slice.offset..<slice.offset + slice.byteCount))
            }
        }
        ranges.sort { ($0.file, $0.range.lowerBound) < ($1.file, $1.range.lowerBound) }
        var extents: [Extent] = []
        var place = 0
        var index = 0
        while index < ranges.count {
            let (file, first) = ranges[index]
            var end = first.upperBound
            index += 1
            while index < ranges.count, ranges[index].file == file,
                ranges[index].range.lowerBound <= end + WeightStage.gap
            {
                end = max(end, ranges[index].range.upperBound)
                index += 1
            }
            let start = first.lowerBound / WeightStage.alignment * WeightStage.alignment
            let bytes =
                (end - start + WeightStage.alignment - 1) / WeightStage.alignment * WeightStage.alignment
            extents.append(
                Extent(file: file, offset: start, byteCount: bytes, needed: end - start, place: place))
            place += bytes
        }
        self.extents = extents
        templates = matrices
        slotBytes = place
        byteCount = matrices.reduce(0) { $0 + $1.matrix.byteCount }
    }

    /// The files that it is read from.
    package var files: Set<String> { Set(extents.map(\.file)) }

    /// The matrices, read into memory of their own.
    ///
    /// - Throws: ``WeightStoreError``, ``FileError`` when there is no memory.
    package func load(_ readers: [String: any RangeReader]) throws -> [WeightMatrix] {
        try load(readers, into: try Storage.pages(byteCount: slotBytes))
    }

    /// The same in memory that is there, and that nothing else looks at meanwhile.
    package func load(
        _ readers: [String: any RangeReader], into slot: Storage
    ) throws(WeightStoreError) -> [WeightMatrix] {
        precondition(slot.byteCount >= slotBytes, "\(slotBytes) bytes of weights in \(slot.byteCount)")
        _ = try read(into: slot, readers)
        return matrices(over: slot)
    }

    /// A few bytes of a file, in memory: a norm's weights.
    package static func copy(_ slice: StorageSlice, _ reader: any RangeReader) throws -> StorageSlice {
        let start = slice.offset / alignment * alignment
        let needed = slice.offset + slice.byteCount - start
        let storage = try Storage.pages(byteCount: (needed + alignment - 1) / alignment * alignment)
        let memory = UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(mutating: storage.base), count: storage.byteCount)
        do { try reader.read(at: start, into: memory, needed: needed) } catch {
            throw WeightStoreError.unreadable(error)
        }
        return StorageSlice(
            Storage(byteCount: slice.byteCount) {
                $0.copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: UnsafeRawBufferPointer(memory)[(needed - slice.byteCount)..<needed]))
            })
    }

    /// The matrices over memory that the stage was or will be read into.
    package func matrices(over slot: Storage) -> [WeightMatrix] {
        templates.map { _, template in
            WeightMatrix(
                unchecked: template.format, rows: template.rows, columns: template.columns,
                group: template.group, parts: parts(of: template, over: slot),
                isTwoOfFour: template.descriptor.pointee.two_of_four)
        }
    }

    /// Reads all extents, and checks what kernels rely on: the file may have changed since it was opened.
    ///
    /// - Parameter slot: memory that nothing else looks at meanwhile.
    /// - Parameter isWanted: asked between reads.
    /// - Returns: false when it stopped because it was not wanted any more.
    func read(
        into slot: Storage, _ readers: [String: any RangeReader], while isWanted: () -> Bool = { true }
    ) throws(WeightStoreError) -> Bool {
        let base = UnsafeMutableRawPointer(mutating: slot.base)
        for extent in extents {
            guard let reader = readers[extent.file] else {
                preconditionFailure("no reader of \(extent.file)")
            }
            for start in stride(from: 0, to: extent.byteCount, by: WeightStage.readBytes) {
                guard isWanted() else { return false }
                let count = min(WeightStage.readBytes, extent.byteCount - start)
                let memory = UnsafeMutableRawBufferPointer(start: base + extent.place + start, count: count)
                do {
                    try reader.read(
                        at: extent.offset + start, into: memory, needed: min(count, extent.needed - start))
                } catch { throw .unreadable(error) }
            }
        }
        try check(slot)
        return true
    }

    /// Bytes of one read: enough for a disk's full speed.
    package static let readBytes = 4 << 20

    private func check(_ slot: Storage) throws(WeightStoreError) {
        for (name, template) in templates where template.format.isMasked {
            do {
                let isTwoOfFour = try WeightMatrix.check(
                    format: template.format, rows: template.rows, columns: template.columns,
                    group: template.group, parts(of: template, over: slot), name)
                guard isTwoOfFour == template.descriptor.pointee.two_of_four else {
                    throw WeightStoreError.changed(tensor: name)
                }
            } catch let error as WeightStoreError {
                throw error
            } catch { throw .changed(tensor: name) }
        }
    }

    private func parts(of template: WeightMatrix, over slot: Storage) -> WeightMatrix.Parts {
        func move(_ slice: StorageSlice) -> StorageSlice {
            let extent = extents.first {
                $0.file == slice.storage.file && $0.offset <= slice.offset
                    && slice.offset + slice.byteCount <= $0.offset + $0.needed
            }
            guard let extent else { preconditionFailure("a part outside the stage") }
            return StorageSlice(
                slot, offset: extent.place + slice.offset - extent.offset, byteCount: slice.byteCount)
        }
        let parts = template.parts
        return WeightMatrix.Parts(
            values: move(parts.values), mask: parts.mask.map(move), rowOffsets: parts.rowOffsets.map(move),
            scales: parts.scales.map(move))
    }
}

extension WeightMatrix.Parts {
    package var slices: [StorageSlice] { [values, mask, rowOffsets, scales].compactMap(\.self) }

    /// Whether all arrays are parts of mapped files.
    package var isMapped: Bool { slices.allSatisfy { $0.storage.file != nil } }
}

/// Why weights cannot be had while a model runs. The model lives on: the next step reads again.
public enum WeightStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    case unreadable(RangeReadError)
    /// What was read is not what was checked when the file was opened.
    case changed(tensor: String)

    public var description: String {
        switch self {
        case .unreadable(let error): "weights: \(error)"
        case .changed(let tensor):
            "weights: tensor \(tensor) is damaged or was changed while in use; open the model again"
        }
    }
}
