/// What a crash may leave of one file: a plain description of P7, without cache and store.
///
/// The file holds what was synced, and of what was done since then any part: of the bytes each page for itself, in a
/// state that the page has had; of the structure, what was done first.
struct CrashModel: Sendable {
  struct Entry: Sendable {
    let change: CrashChange
    /// Whether the bytes went to the store at once; nil if that makes no difference.
    var isThrough: Bool?
    /// When the call had returned: `Int.max` if it has not.
    var end = Int.max
    /// Whether the call that made it is a collapse or an insertion that has returned: what lies behind was made
    /// durable before.
    var settlesBehind = false
  }

  /// What is surely there.
  private(set) var base: CrashImage
  /// What readers see.
  private(set) var current: CrashImage
  /// Done since then.
  private(set) var log: [Entry] = []
  /// All that had returned before this moment has been synced.
  private(set) var safe = 0
  /// The store has lost bytes that it had: what was written to a page later may be there without them, until they are
  /// given to it again.
  private(set) var isLoose = false
  /// Dirty bytes have been discarded, and nothing is said of crashes until the next sync.
  private(set) var isUnknown = false

  init(_ image: CrashImage) {
    base = image
    current = image
  }

  /// Something is done, by a call that has not returned.
  mutating func begin(_ changes: [CrashChange], isThrough: Bool?) {
    for change in changes {
      change.apply(to: &current)
      log.append(Entry(change: change, isThrough: isThrough))
    }
  }

  /// The call that did the last entries has returned.
  mutating func finish(_ count: Int, at moment: Int, settlesBehind: Bool = false) {
    for place in log.count - count..<log.count {
      log[place].end = moment
      log[place].settlesBehind = settlesBehind
    }
  }

  /// A sync has succeeded that began at a moment.
  mutating func sync(since moment: Int) {
    safe = max(safe, moment)
    guard log.allSatisfy({ $0.end < safe }) else { return }
    base = current
    log = []
    isLoose = false
    isUnknown = false
  }

  /// A flush has failed and lost bytes.
  mutating func loosen() { isLoose = true }

  /// From here on readers see an image, and what a crash leaves is not known until the next sync.
  mutating func adopt(_ image: CrashImage) {
    current = image
    base = image
    log = []
    isUnknown = true
  }

  /// Whether a crash may leave an image.
  /// - Parameter since: what had returned before this moment must be there as well: what a durability point covers,
  ///   of which something is there that waited
  ///   for it.
  func allows(_ image: CrashImage, since: Int = 0) -> Bool {
    if isUnknown { return true }
    let safe = max(safe, since)
    var count = 0
    var least = 0
    var through: UInt16 = 0
    var back: UInt16 = 0
    var isShifted = false
    for entry in log {
      switch entry.change {
      case .bytes(let page, _, _, _):
        if entry.isThrough == true { through |= 1 << UInt16(page) }
        if entry.isThrough == false { back |= 1 << UInt16(page) }
      case .settle:
        least = count
      case .collapse, .insert:
        isShifted = true
        fallthrough
      default:
        count += 1
        if entry.end < safe { least = count }
      }
    }
    // Where some bytes of a page wait in the cache and others go to the store at once, a crash may keep those alone:
    // a state that the page never had.
    var mixed = through & back
    if isShifted && mixed != 0 || isLoose { mixed = .max }
    var kept = count
    // What is there as a rule comes first.
    while kept >= least {
      var judge = Judge(image, base, mixed: mixed, safe: safe)
      if judge.accepts(log, kept: kept) { return true }
      kept -= 1
    }
    return false
  }
}

/// Goes through what was done, and keeps for each page whether it can be as the image has it.
private struct Judge {
  let image: CrashImage
  let mixed: UInt16
  let safe: Int
  var state: CrashImage
  /// The units of each page, as bits, that the image may have.
  var right: SIMD16<PageState>
  /// Pages to which nothing comes any more, because something is missing that came before.
  var frozen: UInt16 = 0
  /// Pages that have not been cleared, though they were.
  var uncleared: UInt16 = 0
  /// Sizes that the file may have, one bit for each number of units.
  var sizes: UInt64

  init(_ image: CrashImage, _ base: CrashImage, mixed: UInt16, safe: Int) {
    self.image = image
    self.mixed = mixed
    self.safe = safe
    state = base
    sizes = 1 << UInt64(base.size)
    right = SIMD16(repeating: 0)
    for page in 0..<16 { compare(page) }
  }

  /// The page has no other state than the one it has now.
  mutating func compare(_ page: Int) {
    if mixed & 1 << UInt16(page) != 0 {
      right[page] = state.pages[page].agreement(with: image.pages[page])
    } else {
      right[page] = state.pages[page] == image.pages[page] ? .max : 0
    }
  }

  private func raised(_ end: Int) -> UInt64 {
    let below = sizes & ((1 << UInt64(end)) - 1)
    return sizes & ~below | (below != 0 ? 1 << UInt64(end) : 0)
  }

  mutating func accepts(_ log: [CrashModel.Entry], kept: Int) -> Bool {
    var number = 0
    for entry in log {
      switch entry.change {
      case .bytes(let page, let mask, let value, let end):
        let isSafe = entry.end < safe
        guard frozen & 1 << UInt16(page) == 0 else {
          // What is synced cannot wait for what is not there.
          if isSafe { return false }
          continue
        }
        entry.change.apply(to: &state)
        write(page, mask, value, end: end, isSafe: isSafe)
      case .settle(let pages, let size):
        for page in 0..<CrashUnits.pagesMax where pages & ~frozen & 1 << UInt16(page) != 0 { compare(page) }
        sizes = raised(min(size, state.size))
      default:
        number += 1
        if number <= kept { include(entry.change) } else { leaveOut(entry) }
      }
    }
    for page in 0..<CrashUnits.pagesMax where right[page] != .max { return false }
    if sizes & 1 << UInt64(image.size) != 0 { return true }
    // Pages are written back whole: so the file may end with any of them.
    let least = sizes.trailingZeroBitCount
    let most = 63 - sizes.leadingZeroBitCount
    return image.size % 4 == 0 && image.size >= least && image.size <= most
  }

  private mutating func write(_ page: Int, _ mask: PageState, _ value: PageState, end: Int, isSafe: Bool) {
    if mixed & 1 << UInt16(page) != 0 {
      let agreement = value.agreement(with: image.pages[page]) & mask
      right[page] = isSafe ? right[page] & ~mask | agreement : right[page] | agreement
    } else if isSafe {
      compare(page)
    } else if state.pages[page] == image.pages[page] {
      right[page] = .max
    }
    sizes = isSafe ? raised(end) : sizes | raised(end) | 1 << UInt64(state.size)
  }

  private mutating func include(_ change: CrashChange) {
    change.apply(to: &state)
    switch change {
    case .grow(_, let size): sizes = raised(size)
    case .share(let pages, _, _, let end):
      for page in 0..<CrashUnits.pagesMax where pages & 1 << UInt16(page) != 0 { compare(page) }
      sizes = raised(end)
    case .clear(let pages, _):
      for page in 0..<CrashUnits.pagesMax where pages & 1 << UInt16(page) != 0 { compare(page) }
    case .cut(let size):
      for page in size / 4..<CrashUnits.pagesMax { compare(page) }
      // Or less, if what made the file longer before is not there.
      sizes = sizes & ((1 << UInt64(size)) - 1) | 1 << UInt64(size)
    case .collapse(let first, _), .insert(let first, _):
      for page in first..<CrashUnits.pagesMax { compare(page) }
      sizes = 1 << UInt64(state.size)
    case .bytes, .settle: break
    }
  }

  private mutating func leaveOut(_ entry: CrashModel.Entry) {
    // Of the cache, bytes behind a new end may be there before it, as far as the store lets them.
    let touched = entry.change.touched
    switch entry.change {
    case .grow: return
    // And where the store ends before the file does, there is nothing to be cleared or cut, and nothing for later
    // bytes to wait for.
    case .clear, .cut:
      entry.change.apply(to: &state)
      uncleared |= touched
      return
    default: break
    }
    if entry.settlesBehind {
      for page in 0..<CrashUnits.pagesMax where touched & ~frozen & ~uncleared & 1 << UInt16(page) != 0 {
        compare(page)
      }
    }
    frozen |= touched
  }
}
