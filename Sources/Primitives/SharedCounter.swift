#if !RaceLaboratory
  import Synchronization

  /// A number that several threads change, off the hit path.
  package final class SharedCounter: Sendable {
    private let cell = Atomic<Int>(0)

    package init() {}

    package var value: Int { cell.load(ordering: .relaxed) }

    package func add(_ amount: Int) { cell.wrappingAdd(amount, ordering: .relaxed) }

    package func addReturningNew(_ amount: Int) -> Int { cell.wrappingAdd(amount, ordering: .relaxed).newValue }
  }
#endif
