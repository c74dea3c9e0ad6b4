import CWinnow
import WinnowCore

/// How cached keys and values are stored.
public enum KVType: String, Sendable, CaseIterable, Codable {
    /// `int8`: a float32 scale for each key and value of a head.
    case f32, f16, bf16, int8

    package var code: wn_kv_type {
        switch self {
        case .f32: WN_KV_F32
        case .f16: WN_KV_F16
        case .bf16: WN_KV_BF16
        case .int8: WN_KV_INT8
        }
    }

    /// Of one key or one value.
    package func slotBytes(headWidth: Int) -> Int { wn_kv_slot_bytes(code, headWidth) }
}

/// Pages of cached keys and values: 64 slots of one (layer, KV head), keys then values, counted references.
///
/// Pages come from slabs that are kept until the pool goes; a freed page is used again first.
package final class KVPagePool {
    package static let slots = 64

    package let type: KVType
    package let headWidth: Int
    package let slotBytes: Int
    package let pageBytes: Int
    private let pagesPerSlab: Int
    private var slabs: [UnsafeMutableRawPointer] = []
    private var free: [Int32] = []
    private var references: [UInt16] = []

    package init(type: KVType, headWidth: Int, pagesPerSlab: Int) {
        self.type = type
        self.headWidth = headWidth
        self.pagesPerSlab = max(pagesPerSlab, 1)
        slotBytes = type.slotBytes(headWidth: headWidth)
        pageBytes = KVPagePool.slots * 2 * slotBytes
    }

    deinit { for slab in slabs { slab.deallocate() } }

    package var byteCount: Int { slabs.count * pagesPerSlab * pageBytes }

    /// Pages that someone holds.
    package var pagesInUse: Int { references.count - free.count }

    package func take() -> Int32 {
        if free.isEmpty {
            slabs.append(.allocate(byteCount: pagesPerSlab * pageBytes, alignment: 64))
            let first = references.count
            references.append(contentsOf: repeatElement(0, count: pagesPerSlab))
            free.append(contentsOf: (first..<references.count).reversed().map(Int32.init))
        }
        let page = free.removeLast()
        references[Int(page)] = 1
        return page
    }

    package func isShared(_ page: Int32) -> Bool { references[Int(page)] > 1 }

    package func copy(_ page: Int32) -> Int32 {
        let copy = take()
        keys(copy).copyMemory(from: keys(page), byteCount: pageBytes)
        return copy
    }

    package func retain(_ page: Int32) { references[Int(page)] += 1 }

    package func release(_ page: Int32) {
        references[Int(page)] -= 1
        if references[Int(page)] == 0 { free.append(page) }
    }

    /// The page's keys `[64, headWidth]`; its values follow.
    package func keys(_ page: Int32) -> UnsafeMutableRawPointer {
        slabs[Int(page) / pagesPerSlab] + Int(page) % pagesPerSlab * pageBytes
    }

    package func values(_ page: Int32) -> UnsafeMutableRawPointer { keys(page) + pageBytes / 2 }
}
