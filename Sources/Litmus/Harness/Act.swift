/// What a thread of a litmus test does to a file, at one instant as far as anybody can tell.
enum Act: Sendable {
  case read(_ offset: Int, _ count: Int, file: Int = 0)
  case tryRead(_ offset: Int, _ count: Int, file: Int = 0)
  /// Two reads in one call, each at an instant of its own.
  case readMany(_ offset: Int, _ count: Int, _ other: Int, _ otherCount: Int, file: Int = 0)
  /// A read into a new array, for which the length is asked first.
  case readArray(_ offset: Int, _ count: Int, file: Int = 0)
  /// Reads of a task, which is suspended where a thread would wait.
  case readAsync(_ offset: Int, _ count: Int, file: Int = 0)
  case readArrayAsync(_ offset: Int, _ count: Int, file: Int = 0)
  case size(file: Int = 0)
  /// Borrows, and looks twice.
  case borrow(_ offset: Int, _ count: Int, file: Int = 0)
  /// Within one folio, with a reference to it: the way of hits that benchmarks compare with.
  case referencedRead(_ offset: Int, _ count: Int, file: Int = 0)
  case write(_ offset: Int, _ bytes: [UInt8], file: Int = 0)
  case append(_ bytes: [UInt8], file: Int = 0)
  case punch(_ range: Range<Int>, file: Int = 0)
  case zero(_ range: Range<Int>, growing: Bool = false, file: Int = 0)
  case resize(_ size: Int, file: Int = 0)
  case collapse(_ range: Range<Int>, file: Int = 0)
  case insert(_ range: Range<Int>, file: Int = 0)
  case clone(_ range: Range<Int>, of: Int, to: Int, file: Int)
  case exchange(_ range: Range<Int>, with: Int, at: Int, file: Int)
  case dedupe(_ range: Range<Int>, with: Int, at: Int, file: Int)
  case sync(file: Int = 0)
  case flush(_ range: Range<Int>, file: Int = 0)
  /// The same; if it succeeds, the store must have these bytes safely.
  case syncDurable(_ offset: Int, _ bytes: [UInt8], file: Int = 0)
  /// The first byte from there on that may not lie in a hole.
  case seekData(_ offset: Int, file: Int = 0)
  /// Opens one more handle, reads the first bytes by it, and closes it.
  case reopen(file: Int = 0)
  /// Closes the handle of a file, and opens another. What others do by the old one meanwhile is declined.
  case cycle(file: Int)
  /// Takes a durability point of a file: what the thread's next `heldWrite` waits for.
  case point(file: Int)
  /// A write whose bytes must not be in the store before the thread's point is durable.
  case heldWrite(_ offset: Int, _ bytes: [UInt8], file: Int = 0)
  /// Whether the thread's point is reached, or the one that was taken last if it has none.
  case reached
  /// Sets a flag, as a thread does that tells another: release.
  case send
  /// Looks at the flag: acquire. The thread ends if it is not set.
  case receive
  /// Takes a page's folio out of the cache.
  case evict(_ page: Int, file: Int = 0)
  /// Clears a folio's access bit, as reclaim does when it passes.
  case age(_ page: Int, file: Int = 0)
  /// Moves a page's folio to another frame, as compaction does.
  case move(_ page: Int, file: Int = 0)
  /// Frees what has had its grace period.
  case reclaim
  case invalidate(file: Int = 0)
}

extension Act {
  /// Whether it throws for what has failed before, too.
  var tellsOfFailures: Bool {
    switch self {
    case .sync, .syncDurable, .flush, .reopen, .cycle: true
    default: false
    }
  }
}

extension Act: CustomStringConvertible {
  /// As it is written, but for bytes: `write(8, 77x8)`.
  var description: String {
    /// Of the first file nothing is said.
    func call(_ name: String, _ arguments: String, _ file: Int = 0) -> String {
      "\(name)(\(arguments)\(file == 0 ? "" : arguments.isEmpty ? "file: \(file)" : ", file: \(file)"))"
    }
    func text(_ bytes: [UInt8]) -> String { "\(Outcome.bytes(bytes))" }
    switch self {
    case .read(let offset, let count, let file): return call("read", "\(offset), \(count)", file)
    case .tryRead(let offset, let count, let file): return call("tryRead", "\(offset), \(count)", file)
    case .readArray(let offset, let count, let file): return call("readArray", "\(offset), \(count)", file)
    case .readAsync(let offset, let count, let file): return call("readAsync", "\(offset), \(count)", file)
    case .readArrayAsync(let offset, let count, let file):
      return call("readArrayAsync", "\(offset), \(count)", file)
    case .readMany(let offset, let count, let other, let otherCount, let file):
      return call("readMany", "\(offset), \(count), \(other), \(otherCount)", file)
    case .size(let file): return call("size", "", file)
    case .borrow(let offset, let count, let file): return call("borrow", "\(offset), \(count)", file)
    case .referencedRead(let offset, let count, let file): return call("referencedRead", "\(offset), \(count)", file)
    case .write(let offset, let bytes, let file): return call("write", "\(offset), \(text(bytes))", file)
    case .heldWrite(let offset, let bytes, let file): return call("heldWrite", "\(offset), \(text(bytes))", file)
    case .append(let bytes, let file): return call("append", text(bytes), file)
    case .punch(let range, let file): return call("punch", "\(range)", file)
    case .zero(let range, let growing, let file):
      return call("zero", "\(range)\(growing ? ", growing" : "")", file)
    case .resize(let size, let file): return call("resize", "\(size)", file)
    case .collapse(let range, let file): return call("collapse", "\(range)", file)
    case .insert(let range, let file): return call("insert", "\(range)", file)
    case .clone(let range, let source, let offset, let file):
      return "clone(\(range), of: \(source), to: \(offset), file: \(file))"
    case .exchange(let range, let other, let offset, let file):
      return "exchange(\(range), with: \(other), at: \(offset), file: \(file))"
    case .dedupe(let range, let other, let offset, let file):
      return "dedupe(\(range), with: \(other), at: \(offset), file: \(file))"
    case .sync(let file): return call("sync", "", file)
    case .syncDurable(let offset, let bytes, let file):
      return call("syncDurable", "\(offset), \(text(bytes))", file)
    case .flush(let range, let file): return call("flush", "\(range)", file)
    case .seekData(let offset, let file): return call("seekData", "\(offset)", file)
    case .reopen(let file): return call("reopen", "", file)
    case .cycle(let file): return call("cycle", "", file)
    case .point(let file): return call("point", "", file)
    case .reached: return "reached"
    case .send: return "send"
    case .receive: return "receive"
    case .evict(let page, let file): return call("evict", "\(page)", file)
    case .age(let page, let file): return call("age", "\(page)", file)
    case .move(let page, let file): return call("move", "\(page)", file)
    case .reclaim: return "reclaim"
    case .invalidate(let file): return call("invalidate", "", file)
    }
  }
}

/// What came of an act.
enum Outcome: Equatable, CustomStringConvertible {
  case bytes([UInt8])
  /// Of two reads in one call.
  case many([UInt8], [UInt8])
  case count(Int)
  /// Nothing to tell.
  case done
  /// A read that could not be served at once, or a call that the store can not do.
  case declined
  /// By a handle that another thread has closed.
  case closed
  /// The range does not lie in the file as the call must have it.
  case impossible
  /// Where data begins.
  case found(Int?)
  /// The store has failed, and the act has said so: nothing has happened.
  case refused(String)
  /// Something that must never be.
  case failed(String)

  /// Runs of equal bytes: `1x8 0x8`.
  var description: String {
    switch self {
    case .many(let one, let other): return "\(Outcome.bytes(one)) and \(Outcome.bytes(other))"
    case .count(let count): return "\(count)"
    case .done: return "done"
    case .declined: return "declined"
    case .closed: return "closed"
    case .impossible: return "impossible"
    case .found(let place): return place.map { "data at \($0)" } ?? "no data"
    case .refused(let cause): return "refused: \(cause)"
    case .failed(let cause): return "failed: \(cause)"
    case .bytes(let bytes):
      var parts: [String] = []
      var start = 0
      for place in bytes.indices where place + 1 == bytes.count || bytes[place + 1] != bytes[place] {
        parts.append("\(bytes[place])x\(place + 1 - start)")
        start = place + 1
      }
      return parts.isEmpty ? "no bytes" : parts.joined(separator: " ")
    }
  }
}
