import Primitives

/// What goes on beside the readers.
package enum AtomicityScenario: String, CaseIterable, Sendable, Codable {
  /// Blocks at random are written.
  case write
  /// One block is written and read, again and again.
  case hot
  /// Blocks of one MiB are punched out and filled again, at random, and only these are read.
  case punch
  /// The last quarter of the file is cut off, put back empty, and filled.
  case truncate

  package static let blockBytes = 16 << 10

  package static func list(_ text: String) throws(ListError) -> [AtomicityScenario] {
    try parseList(text) { word throws(ListError) in
      guard let scenario = AtomicityScenario(rawValue: word) else {
        throw ListError("'\(word)' is no scenario: there are \(allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return scenario
    }
  }

  /// Blocks that are read, and written at random, of so many in the file. Few, where two would else seldom meet.
  func blocks(of all: Int) -> Int {
    switch self {
    case .hot: 1
    case .punch: min(64, all)
    case .write, .truncate: all
    }
  }

  /// Whether a reader may find a block empty.
  var mayBeZero: Bool { self == .punch || self == .truncate }
  /// Whether a reader may find no block.
  var mayBeShort: Bool { self == .truncate }
}

/// The blocks that one thread reads in a scenario.
@safe
struct BlockReader: ~Copyable {
  let scenario: AtomicityScenario
  let blocks: Int
  var random: RandomWords
  let buffer: UnsafeMutableRawBufferPointer
  var reads = 0
  var torn = 0
  var refused = 0

  init(_ scenario: AtomicityScenario, blocks: Int, seed: UInt64) {
    self.scenario = scenario
    self.blocks = blocks
    random = RandomWords(seed: seed)
    unsafe buffer = .allocate(byteCount: AtomicityScenario.blockBytes, alignment: 4096)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe buffer.deallocate() }

  mutating func step(_ arm: any AtomicityArm) {
    let block = Int(random.next(below: UInt64(scenario.blocks(of: blocks))))
    let count = unsafe arm.read(at: Int64(block * AtomicityScenario.blockBytes), into: buffer)
    reads += 1
    if count < 0 {
      refused += 1
    } else if count == 0 {
      if !scenario.mayBeShort { torn += 1 }
    } else if unsafe count != buffer.count
      || !StampedBlock.isWhole(.init(buffer), block: block, mayBeZero: scenario.mayBeZero)
    {
      torn += 1
    }
  }
}

/// What one thread changes in a scenario.
@safe
struct BlockWriter: ~Copyable {
  let scenario: AtomicityScenario
  let blocks: Int
  var random: RandomWords
  private let buffer: UnsafeMutableRawBufferPointer
  private var version: UInt64
  private var step = 0
  private var punched = 0
  var changes = 0

  private static var fillBytes: Int { 1 << 20 }

  /// - Parameter version: later than any that is in the file.
  init(_ scenario: AtomicityScenario, blocks: Int, seed: UInt64, version: UInt64) {
    self.scenario = scenario
    self.blocks = blocks
    random = RandomWords(seed: seed)
    self.version = version
    unsafe buffer = .allocate(byteCount: Self.fillBytes, alignment: 4096)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0x5A)
  }

  deinit { unsafe buffer.deallocate() }

  /// Does one change.
  mutating func step(_ arm: any AtomicityArm) throws {
    switch scenario {
    case .write, .hot: try write(Int(random.next(below: UInt64(scenario.blocks(of: blocks)))), count: 1, arm)
    case .punch:
      if step % 2 == 0 {
        punched = Int(random.next(below: UInt64(scenario.blocks(of: blocks))))
        let start = Int64(punched * AtomicityScenario.blockBytes)
        try arm.punchHole(start..<start + Int64(AtomicityScenario.blockBytes))
      } else {
        try write(punched, count: 1, arm)
      }
    case .truncate:
      let cut = blocks / 4
      let inFill = max(1, min(cut, Self.fillBytes / AtomicityScenario.blockBytes))
      let place = step % (2 + (cut + inFill - 1) / inFill)
      switch place {
      case 0: try arm.resize(to: Int64((blocks - cut) * AtomicityScenario.blockBytes))
      case 1: try arm.resize(to: Int64(blocks * AtomicityScenario.blockBytes))
      default:
        let first = (blocks - cut) + (place - 2) * inFill
        try write(first, count: min(inFill, blocks - first), arm)
      }
    }
    step += 1
    changes += 1
  }

  /// Leaves no block out and none empty, so that the next measurement finds the file whole.
  mutating func finish(_ arm: any AtomicityArm) throws {
    while step != 0, scenario == .punch ? step % 2 != 0 : scenario == .truncate && !isAtStart { try step(arm) }
  }

  private var isAtStart: Bool {
    let cut = blocks / 4
    let inFill = max(1, min(cut, Self.fillBytes / AtomicityScenario.blockBytes))
    return step % (2 + (cut + inFill - 1) / inFill) == 0
  }

  /// Writes blocks that follow one another, each with a stamp of its own, in one call.
  private mutating func write(_ first: Int, count: Int, _ arm: any AtomicityArm) throws {
    let blockBytes = AtomicityScenario.blockBytes
    version += 1
    for number in 0..<count {
      let block = unsafe UnsafeMutableRawBufferPointer(
        rebasing: buffer[number * blockBytes..<(number + 1) * blockBytes])
      unsafe StampedBlock.fill(block, stamp: StampedBlock.stamp(block: first + number, version: version))
    }
    try unsafe arm.write(
      at: Int64(first * blockBytes), UnsafeRawBufferPointer(rebasing: buffer[..<(count * blockBytes)]))
  }

  /// Writes all of the file.
  mutating func fill(_ arm: any AtomicityArm) throws {
    let inFill = Self.fillBytes / AtomicityScenario.blockBytes
    for first in stride(from: 0, to: blocks, by: inFill) { try write(first, count: min(inFill, blocks - first), arm) }
  }
}
