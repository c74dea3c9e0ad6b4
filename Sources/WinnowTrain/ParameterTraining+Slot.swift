import WinnowModels

extension ParameterTraining {
    /// The parameter as an optimizer sees it.
    public var slot: ParameterSlot {
        ParameterSlot(values: values, gradients: gradients, rows: rows, columns: columns, mask: mask)
    }
}
