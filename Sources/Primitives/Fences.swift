import CPrimitives
import Synchronization

@inlinable @inline(__always)
package func acquireFence() { atomicMemoryFence(ordering: .acquiring) }

@inlinable @inline(__always)
package func sequentialFence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }
