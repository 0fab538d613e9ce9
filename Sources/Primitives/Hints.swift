import CPrimitives

#if !RaceLaboratory
  /// Orders the compiler, not the processor: what is written before stays before. Where a processor fence is needed too,
  /// another thread supplies it (membarrier), and the comment at the call says which.
  @inlinable @inline(__always)
  package func compilerFence() { pagecache_compiler_fence() }
#endif

/// Asks for a cache line that will be read soon. Any address is allowed.
@inlinable @inline(__always)
package func prefetch(_ address: UnsafeRawPointer) { unsafe pagecache_prefetch(address) }

#if !RaceLaboratory
  /// Tells the processor that the caller spins.
  @inlinable @inline(__always)
  package func spinHint() { pagecache_spin_hint() }
#endif

/// Keeps a value that nobody uses, so that measured work is not optimised away.
@inlinable @inline(__always)
package func keep(_ value: UInt64) { pagecache_keep(value) }
