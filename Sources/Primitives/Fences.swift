#if !RaceLaboratory
  import CPrimitives
  import Synchronization

  @inlinable @inline(__always)
  package func acquireFence() { atomicMemoryFence(ordering: .acquiring) }

  @inlinable @inline(__always)
  package func sequentialFence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }

  /// Makes every running thread of the process execute a full fence (membarrier(2), private expedited). Returns 0 or errno.
  package func processFence() -> Int32 { pagecache_membarrier() }
#endif
