#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A counting semaphore of the system: waiting puts the thread to sleep, which no async primitive does.
package final class Semaphore: @unchecked Sendable {
    private let pointer = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    package init() { sem_init(pointer, 0, 0) }

    deinit {
        sem_destroy(pointer)
        pointer.deallocate()
    }

    package func signal() { sem_post(pointer) }
    package func wait() { while sem_wait(pointer) != 0 && errno == EINTR {} }
}
