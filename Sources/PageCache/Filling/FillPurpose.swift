/// What a fill is for.
enum FillPurpose: Sendable, Equatable {
  /// Somebody waits for the bytes: room is made for them.
  case demand
  /// Nobody has asked for the bytes yet, and somebody will soon, from what he has asked for so far.
  /// - Parameter mark: the page whose entry is to bear the read-ahead mark.
  case ahead(mark: UInt64?)
  /// Nobody has asked for the bytes yet. They take only frames that are free, and go to where they were.
  /// - Parameter isProven: they had been read often enough to be kept before others.
  case prefetch(isProven: Bool)

  /// Whether others may have to go for it.
  var mayEvict: Bool {
    if case .prefetch = self { false } else { true }
  }

  /// Whether folios are as large as they may be, and reach no further than what is wanted.
  var isAhead: Bool {
    if case .demand = self { false } else { true }
  }

  var mark: UInt64? {
    if case .ahead(let mark) = self { mark } else { nil }
  }
}
