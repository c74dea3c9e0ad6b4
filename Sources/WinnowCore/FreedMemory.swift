import CWinnow

/// What becomes of memory that was freed: settings of the whole process, for programs whose peak is planned.
public enum FreedMemory {
    /// Gives what is free back to the system now.
    public static func release() { wn_release_freed_memory() }

    /// From now on, gives large blocks back when they are freed. Workspaces that are planned anew after every block
    /// would otherwise leave holes that small blocks fill, and the peak would depend on luck.
    public static func returnLargeBlocks() { wn_return_large_allocations() }
}
