/// One operation of an execution, for people to read.
package struct TraceEntry: Sendable {
  package enum Operation: String, Sendable {
    case load, store, exchange, add = "fetch-add", compareExchange = "compare-exchange"
    case copyOut = "copy from", copyIn = "copy to"
    case fence, barrier = "membarrier", lock, tryLock = "try lock", unlock, wait, wake = "signal", yield = "spin"
    case call, note, end
  }

  package let thread: Int8
  package let operation: Operation
  package let order: MemoryOrder
  package let address: UInt
  /// Read or stored.
  package let value: UInt64
  /// Of a read-modify-write: what was there before. Of a load: how many newer stores it did not return.
  package let other: UInt64
  package let site: Site
  package let text: String?
}
