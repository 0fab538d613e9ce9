import Primitives

/// What a hit needs to know of a file, in one cache line that is written only when the file changes.
///
/// ```
///   byte 0   size           bytes that hits may read: the length, or 0 while the file's gate is closed
///        8   root           where the index starts
///       16   arena          address of frame 0       set once
///       24   slotMask       slots of a node - 1      set once
///       32   frameShift     of the arena             set once
///       64   length         bytes in the file; a line of its own, for whoever is not a hit
///       72   lastMiss       page after the last miss, for detecting sequential misses
///       80   passes         readers that have written to their callers' memory and must try again: see `ReadPass`
/// ```
@safe
struct FileWords: @unchecked Sendable {
  let base: UnsafeMutableRawPointer

  static let byteCount = 128

  @inline(__always)
  init(base: UnsafeMutableRawPointer) { unsafe self.base = base }

  /// The words at an address that `word` gave.
  @inline(__always)
  init(word: UInt64) {
    unsafe base = UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: word)).unsafelyUnwrapped
  }

  /// What a closed handle names: a file without bytes, so that every read leaves the hit path.
  static let closed = {
    let nowhere = unsafe UnsafeMutableRawPointer(bitPattern: 128).unsafelyUnwrapped
    return unsafe allocate(size: 0, arena: nowhere, fanOutShift: 6, frameShift: 12)
  }()

  // Safe: offsets inside the words' memory, which every handle keeps for as long as it lives, closed or not.
  @inline(__always) var size: SharedWord { unsafe SharedWord(at: base) }
  @inline(__always) var root: SharedWord { unsafe SharedWord(at: base + 8) }
  @inline(__always) var arena: UInt { unsafe (base + 16).load(as: UInt.self) }
  @inline(__always) var slotMask: UInt64 { unsafe (base + 24).load(as: UInt64.self) }
  @inline(__always) var frameShift: UInt64 { unsafe (base + 32).load(as: UInt64.self) }
  var length: SharedWord { unsafe SharedWord(at: base + 64) }
  var lastMiss: SharedWord { unsafe SharedWord(at: base + 72) }
  var passes: SharedWord { unsafe SharedWord(at: base + 80) }

  /// Whether hits from now on go as far as somebody who went by the length: a new one is stored a moment before the size that hits go by. With no size at
  /// all, hits go by the length as well, until there is one.
  ///
  /// Acquire pairs with the release in `FileCore.publishLocked(length:)`: whoever has seen a length has seen the sizes before it, so that none of them can
  /// agree by chance, or come after the lack of one.
  var hitsSeeLength: Bool {
    let length = length.loadAcquire()
    let size = size.loadRelaxed()
    return size == length || size == 0 || !keeps(.lengthBehindSize)
  }

  static func allocate(size: Int64, arena: UnsafeMutableRawPointer, fanOutShift: Int, frameShift: Int) -> FileWords {
    let base = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 128)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe (base + 16).storeBytes(of: UInt(bitPattern: arena), as: UInt.self)
    unsafe (base + 24).storeBytes(of: 1 << UInt64(fanOutShift) - 1, as: UInt64.self)
    unsafe (base + 32).storeBytes(of: UInt64(frameShift), as: UInt64.self)
    let words = unsafe FileWords(base: base)
    words.size.storeRelaxed(UInt64(size))
    words.length.storeRelaxed(UInt64(size))
    words.lastMiss.storeRelaxed(.max)
    return words
  }

  var word: UInt64 { unsafe UInt64(UInt(bitPattern: base)) }

  func deallocate() { unsafe base.deallocate() }
}
