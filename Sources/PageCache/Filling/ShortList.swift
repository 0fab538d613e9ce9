/// A list of mostly one element, which then takes no memory of its own: what a miss of one folio makes lists of.
struct ShortList<Element>: RandomAccessCollection {
  private var only: Element?
  private var rest: [Element] = []

  init() {}

  init(_ element: Element) { only = element }

  var startIndex: Int { 0 }
  var endIndex: Int { only == nil ? 0 : 1 + rest.count }

  subscript(position: Int) -> Element {
    guard position == 0 else { return rest[position - 1] }
    guard let only else { preconditionFailure("the list is empty") }
    return only
  }

  mutating func append(_ element: Element) {
    if only == nil { only = element } else { rest.append(element) }
  }
}

extension ShortList: Sendable where Element: Sendable {}
