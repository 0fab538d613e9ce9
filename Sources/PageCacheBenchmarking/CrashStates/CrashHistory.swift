/// A short program: what the stores can do, what the files are like at first, what one thread does, and what others
/// do then at the same time.
///
/// As text, `caps=CPZ cuts=1,100,255 sizes=8,13 open=013 | write(1,0,4,40); sync(0,0) | punch(0,1,9) / sync(1,1)`:
/// what is there at first, the calls of one thread, and those of several, one list for each.
package struct CrashHistory: Sendable, Equatable {
  /// What a store can do besides reading, writing, flushing and resizing.
  struct Abilities: OptionSet, Sendable {
    let rawValue: Int
    static let clone = Abilities(rawValue: 1)
    static let punch = Abilities(rawValue: 2)
    static let zero = Abilities(rawValue: 4)
    static let collapse = Abilities(rawValue: 8)
    static let insert = Abilities(rawValue: 16)
    static let allocate = Abilities(rawValue: 32)
    /// Tells its holes.
    static let tellHoles = Abilities(rawValue: 64)
    /// Reads on the calling thread.
    static let readOnCaller = Abilities(rawValue: 128)
    /// Takes what is zeroed up to the end of the file for the whole of its last page: as structure.
    static let wholeEnd = Abilities(rawValue: 256)

    static let letters: [(Character, Abilities)] = [
      ("C", .clone), ("P", .punch), ("Z", .zero), ("K", .collapse), ("I", .insert), ("A", .allocate),
      ("H", .tellHoles), ("R", .readOnCaller),
      ("E", .wholeEnd),
    ]
  }

  static let fileCount = 2
  /// Handles of each file: one that writes through, one that writes back, one for reading.
  static let handlesPerFile = 3
  static let handleCount = fileCount * handlesPerFile

  static func file(of handle: Int) -> Int { handle / handlesPerFile }
  static func isThrough(_ handle: Int) -> Bool { handle % handlesPerFile == 0 }
  static func isReader(_ handle: Int) -> Bool { handle % handlesPerFile == 2 }

  var abilities: Abilities = []
  var cuts = [1, 100, 255]
  /// Units of each file.
  var sizes = [8, 8]
  /// Whether others may write to the files: `.external` ownership.
  var isShared = false
  /// Pages that may be owed to stores; nil for enough. With few, the background writes back.
  var room: Int?
  /// Handles that are open at first.
  var open: [Int] = [0, 1, 3, 4]
  /// What one thread does.
  package var calls: [CrashCall] = []
  /// What others do at the same time, after that.
  package var threads: [[CrashCall]] = []

  /// The value of a unit that nobody has written to.
  static func firstValue(file: Int, page: Int) -> UInt8 { UInt8(1 + 16 * file + page) }

  var callCount: Int { calls.count + threads.reduce(0) { $0 + $1.count } }

  func firstImage(_ file: Int) -> CrashImage {
    var image = CrashImage()
    for change in CrashChange.writing(0..<sizes[file], { Self.firstValue(file: file, page: $0 / 4) }) {
      change.apply(to: &image)
    }
    return image
  }
}

extension CrashHistory: CustomStringConvertible {
  package var description: String {
    let caps = String(Abilities.letters.filter { abilities.contains($0.1) }.map(\.0))
    let head =
      "caps=\(caps) cuts=\(cuts.map(String.init).joined(separator: ","))"
      + " sizes=\(sizes.map(String.init).joined(separator: ",")) open=\(open.map(String.init).joined())"
      + (isShared ? " shared=1" : "") + (room.map { " room=\($0)" } ?? "")
    let lists = ([calls] + threads).map { $0.map(\.description).joined(separator: "; ") }
    return threads.isEmpty
      ? "\(head) | \(lists[0])" : "\(head) | \(lists[0]) | \(lists.dropFirst().joined(separator: " / "))"
  }

  /// - Returns: nil if the text is no history.
  package init?(text: String) {
    let parts = text.split(separator: "|", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 3 else { return nil }
    for field in parts[0].split(separator: " ") {
      let pair = field.split(separator: "=", omittingEmptySubsequences: false)
      guard pair.count == 2 else { return nil }
      let numbers = pair[1].split(separator: ",").compactMap { Int($0) }
      switch pair[0] {
      case "caps":
        for letter in pair[1] {
          guard let known = Abilities.letters.first(where: { $0.0 == letter }) else { return nil }
          abilities.insert(known.1)
        }
      case "cuts":
        guard numbers.count == 3, numbers == numbers.sorted(), Set(numbers).count == 3,
          numbers.allSatisfy({ $0 > 0 && $0 < CrashUnits.pageByteCount })
        else { return nil }
        cuts = numbers
      case "sizes":
        guard numbers.count == Self.fileCount, numbers.allSatisfy({ (0...CrashUnits.most).contains($0) }) else {
          return nil
        }
        sizes = numbers
      case "open":
        let handles = pair[1].map { $0.wholeNumberValue ?? -1 }
        guard handles.allSatisfy({ (0..<Self.handleCount).contains($0) }) else { return nil }
        open = handles
      case "shared": isShared = pair[1] == "1"
      case "room":
        guard let number = numbers.first, (CrashHost.leastRoom...1000).contains(number) else { return nil }
        room = number
      default: return nil
      }
    }
    guard let calls = Self.calls(parts[1]) else { return nil }
    self.calls = calls
    guard parts.count == 3 else { return }
    for part in parts[2].split(separator: "/", omittingEmptySubsequences: false) {
      guard let calls = Self.calls(part) else { return nil }
      threads.append(calls)
    }
  }

  private static func calls(_ text: Substring) -> [CrashCall]? {
    var calls: [CrashCall] = []
    for one in text.split(separator: ";") where one.contains(where: { !$0.isWhitespace }) {
      guard let call = CrashCall(text: one), isSound(call) else { return nil }
      calls.append(call)
    }
    return calls
  }

  /// Whether its numbers name something that there is.
  private static func isSound(_ call: CrashCall) -> Bool {
    guard call.arguments.allSatisfy({ (0...255).contains($0) }) else { return false }
    switch call.kind {
    case .giveBack, .reclaim, .heal: return true
    case .reopen, .fail, .refuse: return call[0] < fileCount
    case .clone, .copy, .exchange, .dedupe:
      return call[0] < handleCount && call[3] < handleCount && call[2] <= CrashUnits.most && call[4] <= CrashUnits.most
    case .append: return call[0] < handleCount && call[1] <= CrashUnits.most
    default:
      return call[0] < handleCount && call[1] <= CrashUnits.most && call[2] <= CrashUnits.most
    }
  }
}
