/// One step of a history: a call of the public interface, or something that happens to the cache or to a store.
///
/// As text, `write(1,3,8,40)`. Places and lengths are units; see `CrashUnits`.
package struct CrashCall: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    /// (handle, start, end)
    case read
    /// (handle, start, end): the bytes are lent until `giveBack`.
    case borrow
    case giveBack
    /// (handle, start, end, value)
    case write
    /// (handle, start, end, value, file): not before the point that was last taken of the file.
    case writeAfter
    /// (handle, count, value)
    case append
    /// (handle): takes a durability point of its file.
    case point
    /// (handle, size)
    case resize
    /// (handle, start, end)
    case punch
    /// (handle, start, end, 1 to keep the size)
    case zero, allocate
    /// (handle, first page, pages)
    case collapse, insert
    /// (handle, start, end, source's handle, where to)
    case clone, copy
    /// (handle, start, end, other handle, where there)
    case exchange, dedupe
    /// (handle, 1 for the data only)
    case sync
    /// (handle, start, end)
    case flush
    /// (handle, start)
    case seekData, seekHole
    /// (handle), (handle, start, end)
    case invalidate
    /// (handle, start, end, value): another program writes to the file, and the cache is told. Where nothing is dirty
    /// and the files are shared with others.
    case outside
    /// (handle)
    case close, discard, open
    /// (file): closes all of its handles, and opens them again.
    case reopen
    /// (handle, page): the page leaves the cache, or moves to another frame, if it can.
    case evict, move
    /// Frames that wait for a grace period are free.
    case reclaim
    /// (file, operation, how many go well before, manner): a call of the store fails. See `CrashFault`.
    case fail
    /// (file, page): from here on the store refuses to write the page.
    case refuse
    /// Nothing fails any more.
    case heal
  }

  package var kind: Kind
  package var arguments: [Int]

  package init(_ kind: Kind, _ arguments: Int...) {
    self.kind = kind
    self.arguments = arguments
  }

  init(_ kind: Kind, list: [Int]) {
    self.kind = kind
    arguments = list
  }

  subscript(_ place: Int) -> Int { place < arguments.count ? arguments[place] : 0 }

  var handle: Int { self[0] }
  var units: Range<Int> { self[1]..<max(self[1], self[2]) }
  var pages: Range<Int> { self[1]..<self[1] + self[2] }

  /// How many arguments each has, at least.
  static func argumentCount(_ kind: Kind) -> Int {
    switch kind {
    case .giveBack, .reclaim, .heal: 0
    case .point, .invalidate, .close, .discard, .open, .reopen: 1
    case .resize, .sync, .seekData, .seekHole, .evict, .move, .refuse: 2
    case .read, .borrow, .append, .punch, .collapse, .insert, .flush: 3
    case .write, .zero, .allocate, .fail, .outside: 4
    case .writeAfter, .clone, .copy, .exchange, .dedupe: 5
    }
  }
}

extension CrashCall: CustomStringConvertible {
  package var description: String { "\(kind.rawValue)(\(arguments.map(String.init).joined(separator: ",")))" }

  init?(text: Substring) {
    let text = text.filter { !$0.isWhitespace }
    guard let open = text.firstIndex(of: "("), text.last == ")",
      let kind = Kind(rawValue: String(text[..<open]))
    else { return nil }
    let inside = text[text.index(after: open)..<text.index(before: text.endIndex)]
    let arguments = inside.split(separator: ",").map { Int($0) }
    guard !arguments.contains(nil), arguments.count >= Self.argumentCount(kind) else { return nil }
    self.init(kind, list: arguments.compactMap(\.self))
  }
}

/// A failure of a store that is due.
struct CrashFault: Sendable, Equatable {
  enum Operation: Int, Sendable, CaseIterable {
    case read, write, flush, change, resize, extent
  }

  enum Manner: Int, Sendable, CaseIterable {
    /// EIO. Of a flush: what it should have made durable is still there.
    case error
    /// ENOSPC.
    case noSpace
    /// A write of several pages writes the first one only. A flush loses all that it should have made durable.
    case short
    /// A flush loses every other page.
    case shortSometimes
  }

  let operation: Operation
  /// Calls that go well before.
  var skips: Int
  let manner: Manner
}
