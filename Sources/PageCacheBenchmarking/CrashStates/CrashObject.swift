import Primitives

/// What lies under the stores of one file: it outlives them, as a file outlives its descriptors.
///
/// Guarded by the lock of the run.
final class CrashObject: @unchecked Sendable {
  /// Something that was done and that no flush has covered.
  struct Entry {
    let change: CrashChange
    /// When: in the run's count of moments.
    let moment: Int
  }

  let number: Int
  /// What reads see.
  private(set) var present: CrashImage
  /// What is there after a crash whatever else is lost.
  private(set) var durable: CrashImage
  /// In order.
  private(set) var log: [Entry] = []
  /// Entries that flushes have covered, of all there ever were.
  private(set) var covered = 0
  /// Grows with each change of the log.
  private(set) var version = 0
  /// What has been done to it, as a store counts.
  private(set) var changes = 0
  /// When the last store was closed.
  var closedAt = -1

  init(number: Int, _ image: CrashImage) {
    self.number = number
    present = image
    durable = image
  }

  /// The number that the next entry gets.
  var end: Int { covered + log.count }

  func record(_ change: CrashChange, at moment: Int) {
    change.apply(to: &present)
    log.append(Entry(change: change, moment: moment))
    changes += 1
    version += 1
  }

  /// A flush has succeeded that began when there were so many entries.
  func flushed(through end: Int) {
    let count = end - covered
    guard count > 0 else { return }
    for entry in log[..<count] { entry.change.apply(to: &durable) }
    log.removeFirst(count)
    covered = end
    version += 1
  }

  /// A flush has failed, and the bytes of some pages are lost that it should have made durable: reads find what was
  /// there before. Structure is not lost, nor is what a file system had to write before it changed the structure; nor
  /// pages that were written to while the flush was under way.
  /// - Parameters:
  ///   - end: entries when the flush began.
  ///   - pages: which, of those that can be.
  /// - Returns: when the oldest of the lost bytes were written; nil if none were lost.
  func lose(through end: Int, pages: UInt16) -> Int? {
    var lost = pages
    var first = [Int](repeating: 0, count: 16)
    for (place, entry) in log.enumerated() {
      if case .bytes(let page, _, _, _) = entry.change, covered + place >= end { lost &= ~(1 << UInt16(page)) }
      for page in 0..<16 where entry.change.forced & 1 << UInt16(page) != 0 { first[page] = place }
    }
    var oldest: Int?
    var rest: [Entry] = []
    for (place, entry) in log.enumerated() {
      if case .bytes(let page, _, _, _) = entry.change, lost & 1 << UInt16(page) != 0, place >= first[page] {
        if oldest == nil { oldest = entry.moment }
      } else {
        rest.append(entry)
      }
    }
    guard let oldest else { return nil }
    let size = present.size
    // The numbers of the entries stay right: those that are left count as one covered each.
    covered += log.count - rest.count
    log = rest
    present = durable
    for entry in log { entry.change.apply(to: &present) }
    if present.size < size {
      let smaller = present.size
      present.size = size
      log.append(Entry(change: .grow(from: smaller, to: size), moment: oldest))
    }
    version += 1
    return oldest
  }
}

// MARK: - What a crash leaves

extension CrashObject {
  /// How many entries of structure there are that may be lost.
  private var structureCount: Int { log.reduce(0) { $0 + ($1.change.isStructure ? 1 : 0) } }

  /// Images that a crash can leave now: the durable one, the present one, and others, all of them if they are few.
  ///
  /// Of the structure, a prefix is there; of the bytes of each page, a prefix, which has all that was written to the
  /// page before some structure that is there and that the file system had to keep in order, and nothing that was
  /// written to it after what is not there.
  func images(atMost most: Int, _ random: inout RandomWords) -> [CrashImage] {
    guard !log.isEmpty else { return [durable] }
    var images: [CrashImage] = []
    let structures = structureCount
    var combinations = 0
    for kept in 0...structures {
      combinations += freedom(kept).reduce(1) { min(1 << 20, $0 * ($1 + 1)) }
    }
    if combinations <= most {
      for kept in 0...structures {
        let free = freedom(kept)
        var counts = [Int](repeating: 0, count: 16)
        while true {
          images.append(image(kept, counts))
          guard let next = (0..<16).first(where: { counts[$0] < free[$0] }) else { break }
          for lower in 0..<next { counts[lower] = 0 }
          counts[next] += 1
        }
      }
      return images
    }
    images.append(image(0, [Int](repeating: 0, count: 16)))
    images.append(image(structures, freedom(structures)))
    while images.count < most {
      let kept = random.next(below: 2) == 0 ? structures : Int(random.next(below: UInt64(structures) + 1))
      var counts = freedom(kept)
      let chosen = Int(random.next(below: 16))
      let manner = random.next(below: 4)
      for page in 0..<16 where counts[page] > 0 {
        switch manner {
        // One page is behind, or ahead of, all others.
        case 0: if page == chosen { counts[page] = Int(random.next(below: UInt64(counts[page]))) }
        case 1: if page != chosen { counts[page] = 0 }
        case 2: counts[page] = random.next(below: 2) == 0 ? 0 : counts[page]
        default: counts[page] = Int(random.next(below: UInt64(counts[page]) + 1))
        }
      }
      images.append(image(kept, counts))
    }
    return images
  }

  /// For each page, the places between which its bytes may be there or not: behind the last structure that forces
  /// what came before, up to the first that is missing.
  private func bounds(_ kept: Int) -> (first: [Int], end: [Int]) {
    var first = [Int](repeating: 0, count: 16)
    var end = [Int](repeating: log.count, count: 16)
    var number = 0
    for (place, entry) in log.enumerated() where entry.change.isStructure {
      let isThere = number < kept
      let pages = isThere ? entry.change.forced : entry.change.touched
      number += 1
      guard pages != 0 else { continue }
      for page in 0..<16 where pages & 1 << UInt16(page) != 0 {
        if isThere { first[page] = place } else { end[page] = min(end[page], place) }
      }
    }
    return (first, end)
  }

  /// How many of the bytes of each page may be there or not.
  private func freedom(_ kept: Int) -> [Int] {
    let (first, end) = bounds(kept)
    var free = [Int](repeating: 0, count: 16)
    for (place, entry) in log.enumerated() {
      guard case .bytes(let page, _, _, _) = entry.change else { continue }
      if place >= first[page], place < end[page] { free[page] += 1 }
    }
    return free
  }

  private func image(_ kept: Int, _ counts: [Int]) -> CrashImage {
    let (first, end) = bounds(kept)
    var image = durable
    var number = 0
    var seen = [Int](repeating: 0, count: 16)
    for (place, entry) in log.enumerated() {
      if case .bytes(let page, _, _, _) = entry.change {
        if place < first[page] {
          entry.change.apply(to: &image)
        } else if place < end[page], seen[page] < counts[page] {
          seen[page] += 1
          entry.change.apply(to: &image)
        }
      } else {
        if number < kept { entry.change.apply(to: &image) }
        number += 1
      }
    }
    return image
  }
}
