import CWinnow
import WinnowCore
import WinnowIO
import WinnowWeights

extension ModelRunner {
    func bindPatches() {
        guard model.configuration.traits.image != nil else { return }
        let matrix = model.embedding.matrix
        patchInputs = space.patchInputs.inputs(for: [matrix], mode: configuration.activations)
        patchProduct = ProductGroup()
        patchProduct.add(
            Linear(model.embedding, bias: model.embeddingParts.patchBias), from: space.patchInputs,
            configuration.activations, to: space.branch)
    }

    /// Adds an image to the step: a row for its class token, then one for each patch.
    ///
    /// - Parameter pixels: normalised as the model was trained, `[channels, size, size]`.
    /// - Throws: ``ModelError`` for a model of text, or another number of values.
    public func append(image pixels: [Float], to sequence: KVSequence) throws(ModelError) {
        let shape = model.configuration
        guard let image = shape.traits.image else {
            throw .noSuchInput(architecture: shape.architecture, expected: "text")
        }
        guard pixels.count == image.channels * image.size * image.size else {
            throw .noSuchInput(
                architecture: shape.architecture,
                expected:
                    "images of [\(image.channels), \(image.size), \(image.size)] values, not \(pixels.count)")
        }
        let rows = image.patches + 1
        guard sequence.length == 0, rows <= sequence.capacity, rows <= room else {
            throw .promptTooLong(tokens: rows, context: min(sequence.capacity, room))
        }
        let width = shape.width
        var patches = image.cut(pixels)
        patches.withUnsafeMutableBufferPointer { patches in
            for input in patchInputs {
                input.fill(
                    patches.baseAddress!, stride: image.patchValues, tokens: image.patches, on: pool)
            }
            // Inputs in float32 point at the patches: the product runs while they are there.
            patchProduct.run(on: pool)
        }
        let first = space.hidden + self.rows * width
        let classToken = model.embeddingParts.classToken?.vector.floats() ?? []
        first.update(from: classToken, count: width)
        (first + width).update(from: space.branch, count: image.patches * width)
        for row in 0..<rows {
            space.positions[self.rows + row] = Int32(row)
            if let positions = model.positions {
                positions.matrix.row(row, into: space.branch)
                wn_add(first + row * width, space.branch, width)
            }
        }
        embeddingNorm?.apply(first, into: first, rows: rows, columns: width)
        addSpan(sequence, count: rows)
    }

    /// The final states of the last step's rows, `[rows, width]`, through the final norm where there is one. Asked for once
    /// after a step; valid until the next.
    public func states() -> UnsafeBufferPointer<Float> {
        let width = model.configuration.width
        guard let finalNorm else { return UnsafeBufferPointer(start: space.hidden, count: rows * width) }
        pool.inRows(rows) { range in
            let base = space.hidden + range.lowerBound * width
            finalNorm.apply(base, into: base, rows: range.count, columns: width)
        }
        return UnsafeBufferPointer(start: space.hidden, count: rows * width)
    }
}

extension ImageShape {
    /// The patches of an image, row by row: `[patches, channels * patch * patch]`.
    fileprivate func cut(_ pixels: [Float]) -> [Float] {
        var patches = [Float]()
        patches.reserveCapacity(pixels.count)
        for top in stride(from: 0, to: size / patch * patch, by: patch) {
            for left in stride(from: 0, to: size / patch * patch, by: patch) {
                for channel in 0..<channels {
                    for row in top..<top + patch {
                        let start = (channel * size + row) * size + left
                        patches.append(contentsOf: pixels[start..<start + patch])
                    }
                }
            }
        }
        return patches
    }
}
