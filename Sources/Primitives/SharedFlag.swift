/// Something that is found out once and remembered. Orders nothing.
package struct SharedFlag: ~Copyable, Sendable {
  private let word = InlineWord(0)

  package init() {}

  package var isSet: Bool { word.loadRelaxed() != 0 }

  package func set() { word.storeRelaxed(1) }
}
