extension ChatTemplate {
    /// The text of messages of which the last, the assistant's, is only begun: what the model writes goes on from it.
    ///
    /// - Source: transformers, `continue_final_message`: a mark is put behind the message, and from the mark on all that
    ///   the template writes is left out; so is white space before it where the template trims the message.
    /// - Throws: ``TemplateError/lostMessage`` for a template that does not write the last message out.
    public func render(
        continuing messages: [ChatMessage], bosToken: String? = nil, eosToken: String? = nil
    ) throws(TemplateError) -> String {
        precondition(!messages.isEmpty, "no message to continue")
        let mark = "CONTINUE_FINAL_MESSAGE_TAG"
        var marked = messages
        marked[marked.count - 1].content += mark + " "
        let text = try render(
            messages: marked, addGenerationPrompt: false, bosToken: bosToken, eosToken: eosToken)
        let begun = ChatTemplate.trimmed(messages[messages.count - 1].content[...], both: true)
        guard let place = text.lastPlace(of: mark), begun.isEmpty || text.lastPlace(of: String(begun)) != nil
        else { throw .lostMessage }
        let kept = text[..<place.lowerBound]
        let isSpaceKept = text.unicodeScalars[place.upperBound...].first == " "
        return String(isSpaceKept ? kept : ChatTemplate.trimmed(kept, both: false))
    }

    /// Without what Python's `strip` or `rstrip` takes.
    private static func trimmed(_ text: Substring, both: Bool) -> Substring {
        var scalars = text.unicodeScalars
        while let last = scalars.last, last.isPythonSpace { scalars.removeLast() }
        while both, let first = scalars.first, first.isPythonSpace { scalars.removeFirst() }
        return Substring(scalars)
    }
}

extension String {
    /// Where another text, not empty, last stands in this one, scalar by scalar.
    fileprivate func lastPlace(of other: String) -> Range<String.Index>? {
        let (text, wanted) = (Array(utf8), Array(other.utf8))
        guard wanted.count <= text.count else { return nil }
        for start in (0...text.count - wanted.count).reversed()
        where text[start..<start + wanted.count].elementsEqual(wanted) {
            let lower = utf8.index(utf8.startIndex, offsetBy: start)
            return lower..<utf8.index(lower, offsetBy: wanted.count)
        }
        return nil
    }
}
