import WinnowCore
import WinnowJSON
import WinnowReport

// How a dry run shows what work will hold.
extension MemoryPlan {
    /// Bytes of each item, by name.
    var json: JSONValue { .object(JSONObject(items.map { ($0.name, .integer(Int64($0.bytes))) })) }

    /// The items and the predicted peak.
    var table: Table {
        var table = Table([.init("memory"), .figures("bytes")])
        for item in items { table.add([item.name, Format.bytes(item.bytes)]) }
        table.add(["predicted peak", Format.bytes(total)], highlighted: true)
        return table
    }
}
