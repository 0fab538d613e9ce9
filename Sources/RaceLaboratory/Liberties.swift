/// What the model may do besides what it always does. Each makes a search larger; so none is taken unless it is asked
/// for.
package struct Liberties: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A word that is copied is torn in the middle: one half from one store, the other half from the store before it.
  package static let tornWords = Liberties(rawValue: 1 << 0)
  /// A membarrier reaches one thread after the other, in any order, and the others run meanwhile.
  package static let staggeredBarriers = Liberties(rawValue: 1 << 1)
  /// A wait ends without a signal. Each time costs a preemption.
  package static let idleWakeUps = Liberties(rawValue: 1 << 2)
  /// A store comes after what its thread does next: what a compiler may do, and a processor (store buffers, 2+2W). Each
  /// time costs a preemption.
  package static let lateStores = Liberties(rawValue: 1 << 3)
  /// A store comes before the load that stands in front of it (load buffering). Each time costs a preemption.
  package static let earlyStores = Liberties(rawValue: 1 << 4)

  private static let names: [(name: String, liberty: Liberties)] = [
    ("tornWords", .tornWords), ("staggeredBarriers", .staggeredBarriers), ("idleWakeUps", .idleWakeUps),
    ("lateStores", .lateStores), ("earlyStores", .earlyStores),
  ]

  /// All names, with commas between them.
  package static var allNames: String { names.map(\.name).joined(separator: ",") }

  /// - Parameter text: names, with commas between them; nil if there is no such name.
  package init?(_ text: String) {
    self = []
    for part in text.split(separator: ",") {
      guard let found = Liberties.names.first(where: { $0.name == part }) else { return nil }
      insert(found.liberty)
    }
  }

  /// How often a thread may use those that cost something, each of them.
  static var most: Int { 1 }
}
