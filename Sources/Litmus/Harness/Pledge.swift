#if RaceLaboratory
  /// At some moment it was said that what came before is durable: a sync has returned, a point is reached, bytes that
  /// wait for a point are written.
  struct Pledge {
    let file: Int
    /// What the thread knew of all threads when it asked: of the acts that had ended, and only of those, it speaks.
    let known: SIMD8<UInt32>
    /// What a power cut would have left at that moment.
    let image: [UInt8]
    /// The bytes it speaks of; nil for all.
    let range: Range<Int>?
    let said: String

    init(_ file: Int, known: SIMD8<UInt32>, image: [UInt8], range: Range<Int>? = nil, said: String) {
      self.file = file
      self.known = known
      self.image = image
      self.range = range
      self.said = said
    }
  }

  /// What an act makes of one byte of a file.
  private enum Effect {
    case none
    /// It has this value then.
    case value(UInt8)
    /// The same, if the act came to it.
    case perhaps(UInt8)
    /// It has a value that another place had.
    case anything
    /// It moves: nothing can be said of it.
    case unknown
  }

  extension History {
    /// A pledge that the store has not kept. Each byte is judged by itself: after a crash the file may hold any of the
    /// later acts. Of those that the pledge speaks of, it must hold the last one.
    /// - Parameter start: the files before the threads began. Every pledge speaks of that.
    func brokenPledge(from start: ModelFiles) -> String? {
      for pledge in pledges {
        let acts = events.joined().filter { $0.act.changes(pledge.file) }
        if acts.contains(where: { $0.act.moves(pledge.file) }) { continue }
        let before = start.files[pledge.file]
        let longest = max(before.count, pledge.image.count, acts.map { $0.end(pledge.file) }.max() ?? 0)
        let range = (pledge.range ?? 0..<longest).clamped(to: 0..<longest)
        // Threads copy words of eight bytes.
        for place in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
          if let text = broken(pledge, place, acts, before) { return text }
        }
      }
      return nil
    }

    private func broken(
      _ pledge: Pledge, _ place: Int, _ acts: [Event], _ before: [UInt8]
    ) -> String? {
      let isResized = acts.contains { $0.act.resizes }
      // Acts that may have been the last to change the byte.
      var allowed: Set<UInt8> = []
      var sure: [(event: Event, value: UInt8?)] = []
      var isWritten = place < before.count
      let hasCut = acts.contains { $0.act.isCut(below: before.count) }
      for event in acts {
        let isBefore = pledge.known[event.thread] >= event.end
        switch event.effect(on: place, of: pledge.file, mayGrowHere: hasCut || place >= before.count) {
        case .none: continue
        case .unknown: return nil
        case .anything:
          // It has come after what the pledge speaks of, or belongs to that: any value is right.
          if !isBefore { return nil }
          sure.append((event, nil))
        case .perhaps(let value): allowed.insert(value)
        case .value(let value):
          if isBefore {
            sure.append((event, value))
            if case .write = event.act { isWritten = true }
          } else {
            allowed.insert(value)
          }
        }
      }
      if sure.isEmpty { allowed.insert(place < before.count ? before[place] : 0) }
      for (event, value) in sure
      where !sure.contains(where: { $0.event.known[event.thread] >= event.end && !$0.event.isSame(as: event) }) {
        guard let value else { return nil }
        allowed.insert(value)
      }
      guard place < pledge.image.count else {
        return isWritten && !isResized
          ? "\(pledge.said), and the store of file \(pledge.file) ends at \(pledge.image.count), before byte \(place)"
          : nil
      }
      let actual = pledge.image[place]
      if allowed.contains(actual) { return nil }
      return "\(pledge.said), and byte \(place) of file \(pledge.file) is durable as \(actual), not as "
        + allowed.sorted().map { "\($0)" }.joined(separator: " or ")
    }
  }

  extension Act {
    /// Whether a file's bytes, or its size, change by it.
    fileprivate func changes(_ file: Int) -> Bool {
      switch self {
      case .write(_, _, let other), .heldWrite(_, _, let other), .append(_, let other), .punch(_, let other),
        .zero(_, _, let other), .resize(_, let other), .collapse(_, let other), .insert(_, let other),
        .clone(_, _, _, let other):
        other == file
      case .exchange(_, let with, _, let other): other == file || with == file
      default: false
      }
    }

    fileprivate func moves(_ file: Int) -> Bool {
      switch self {
      case .collapse(_, let other), .insert(_, let other): other == file
      default: false
      }
    }

    fileprivate var resizes: Bool { if case .resize = self { true } else { false } }

    fileprivate func isCut(below size: Int) -> Bool {
      if case .resize(let after, _) = self { after < size } else { false }
    }
  }

  extension History.Event {
    fileprivate func isSame(as other: History.Event) -> Bool { thread == other.thread && end == other.end }

    /// The byte behind the last one that it can have changed.
    fileprivate func end(_ file: Int) -> Int {
      switch act {
      case .write(let offset, let bytes, _), .heldWrite(let offset, let bytes, _): offset + bytes.count
      case .append(let bytes, _): if case .count(let place) = outcome { place + bytes.count } else { 0 }
      case .zero(let range, _, _): range.upperBound
      case .resize(let size, _): size
      case .clone(let range, _, let offset, _): offset + range.count
      default: 0
      }
    }

    fileprivate func effect(on place: Int, of file: Int, mayGrowHere: Bool) -> Effect {
      if outcome == .impossible || outcome == .closed { return .none }
      var isRefused = outcome == .declined
      if case .refused = outcome { isRefused = true }
      func value(_ byte: UInt8) -> Effect { isRefused ? .perhaps(byte) : .value(byte) }
      switch act {
      case .write(let offset, let bytes, _), .heldWrite(let offset, let bytes, _):
        return (offset..<offset + bytes.count).contains(place) ? value(bytes[place - offset]) : .none
      case .append(let bytes, _):
        guard case .count(let offset) = outcome else { return .unknown }
        return (offset..<offset + bytes.count).contains(place) ? value(bytes[place - offset]) : .none
      case .punch(let range, _), .zero(let range, _, _): return range.contains(place) ? value(0) : .none
      case .resize(let size, _): return place >= size ? value(0) : mayGrowHere ? .perhaps(0) : .none
      case .clone(let range, _, let offset, _):
        return (offset..<offset + range.count).contains(place) ? .anything : .none
      case .exchange(let range, let with, let offset, let other):
        let isHere = other == file && range.contains(place)
        return isHere || with == file && (offset..<offset + range.count).contains(place) ? .anything : .none
      default: return .none
      }
    }
  }
#endif
