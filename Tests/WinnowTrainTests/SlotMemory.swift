import WinnowTrain
import WinnowWeights

/// Values and gradients of several parameters at once, and slots over them.
final class SlotMemory {
    let slots: [ParameterSlot]
    private let owned: [UnsafeMutableBufferPointer<Float>]

    init(_ parameters: [(rows: Int, values: [Float], gradients: [Float], mask: SparsityMask?)]) {
        var slots: [ParameterSlot] = [], owned: [UnsafeMutableBufferPointer<Float>] = []
        for parameter in parameters {
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: parameter.values.count)
            let gradients = UnsafeMutableBufferPointer<Float>.allocate(capacity: parameter.values.count)
            _ = values.initialize(from: parameter.values)
            _ = gradients.initialize(from: parameter.gradients)
            owned += [values, gradients]
            slots.append(
                ParameterSlot(
                    values: values, gradients: gradients, rows: parameter.rows,
                    columns: parameter.values.count / parameter.rows, mask: parameter.mask))
        }
        self.slots = slots
        self.owned = owned
    }

    deinit { for memory in owned { memory.deallocate() } }

    func values(_ index: Int) -> [Float] {
        Array(UnsafeBufferPointer(start: slots[index].values, count: slots[index].count))
    }

    func setGradients(_ index: Int, _ numbers: [Float]) {
        for (place, number) in numbers.enumerated() { slots[index].gradients[place] = number }
    }
}
