import CWinnow
import WinnowCore

/// Products over rows that are sorted by the matrix they go to: matrix i reads rows `offsets[i]..<offsets[i + 1]` of
/// the input and writes the same rows of the output. All of them run as one pool job; a matrix without rows is not
/// read.
///
/// A row's output depends on its matrix and its own values only, as everywhere.
package final class GroupedMatmul {
    private var group: ProductGroup
    private let count: Int
    private let active: UnsafeMutablePointer<wn_product>
    /// Two for each matrix: its input's rows, and its gate's.
    private let views: UnsafeMutablePointer<wn_input>

    /// - Parameter group: a product for each matrix, all with the same inputs and outputs.
    package init(_ group: ProductGroup) {
        self.group = group
        count = group.count
        active = .allocate(capacity: max(count, 1))
        views = .allocate(capacity: max(2 * count, 1))
    }

    deinit {
        active.deallocate()
        views.deallocate()
    }

    /// - Parameter offsets: one more than there are matrices, ascending.
    package func run(offsets: UnsafePointer<Int32>, on pool: KernelPool) {
        var used = 0
        group.forEach { index, product in
            let first = Int(offsets[index])
            let rows = Int(offsets[index + 1]) - first
            guard rows > 0 else { return }
            var own = product
            own.input = view(product.input, first, rows, at: 2 * used)
            if product.gate_input != nil {
                own.gate_input = view(product.gate_input, first, rows, at: 2 * used + 1)
            }
            own.out += first * own.out_stride
            (active + used).initialize(to: own)
            used += 1
        }
        wn_products(pool.pointer, active, used)
    }

    private func view(
        _ input: UnsafePointer<wn_input>, _ first: Int, _ rows: Int, at index: Int
    ) -> UnsafePointer<wn_input> {
        wn_input_rows(input, first, rows, views + index)
        return UnsafePointer(views + index)
    }

    package var scratchBytes: Int { group.scratchBytes }
}
