/// What an atomic operation, or a fence, orders besides itself.
package enum MemoryOrder: UInt8, Sendable {
  case relaxed, acquire, release, acquireRelease
  /// Of a fence. The project has no sequentially consistent loads and stores: where two threads must not both miss each other's store, each has a fence.
  case sequential

  @inline(__always)
  var acquires: Bool { self == .acquire || self == .acquireRelease }
  @inline(__always)
  var releases: Bool { self == .release || self == .acquireRelease }
}

/// Where in the sources an operation stands.
package struct Site: Sendable {
  package let file: StaticString
  package let line: UInt

  @inline(__always)
  package init(_ file: StaticString, _ line: UInt) {
    self.file = file
    self.line = line
  }
}

/// One half of an ordering that is taken away, to see whether anybody notices.
package struct OrderingMutant: Sendable, Hashable, Codable, CustomStringConvertible {
  package enum Half: String, Sendable, Codable, CaseIterable {
    /// A load, or the loading half of a read-modify-write, orders nothing; an acquire fence is not there.
    case acquire
    /// The same for a store.
    case release
    /// A sequentially consistent fence is not there.
    case sequential
    /// A compiler's fence is not there: only where stores may be late.
    case compiler
  }

  /// The name of the source file, module first.
  package let file: String
  package let line: UInt
  package let half: Half

  package init(file: String, line: UInt, half: Half) {
    self.file = file
    self.line = line
    self.half = half
  }

  package var description: String { "\(file):\(line) \(half.rawValue)" }

  func weaken(_ order: MemoryOrder) -> MemoryOrder {
    switch (half, order) {
    case (.acquire, .acquire), (.release, .release), (.sequential, .sequential): .relaxed
    case (.acquire, .acquireRelease): .release
    case (.release, .acquireRelease): .acquire
    default: order
    }
  }
}
