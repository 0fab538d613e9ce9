#if RaceLaboratory
  import BackingStores
  import Primitives
  import RaceLaboratory

  /// A store of a few pages, of which every call is a step, or one for each page that it touches.
  final class ModelStore: BackingStore, @unchecked Sendable {
    let name: String
    let identity: StoreIdentity
    /// What is there now, and what a power cut would leave.
    private(set) var bytes: [UInt8]
    private(set) var durable: [UInt8]
    /// What is left when a flush fails: all changes of the structure, and no bytes that were written since the last
    /// flush.
    private var unwritten: [UInt8]
    /// Pages without storage.
    private var holes: Set<Int> = []
    private let order = ModelMutex()
    /// The first calls of a kind, or some behind the first, which fail.
    struct Failing {
      let due: Int
      fileprivate var spared: Int
      fileprivate var left: Int
      init(_ due: Int, after spared: Int = 0) {
        self.due = due
        self.spared = spared
        left = due
      }

      /// Counts a call.
      /// - Returns: whether it fails.
      fileprivate mutating func isNext() -> Bool {
        if spared > 0 {
          spared -= 1
          return false
        }
        guard left > 0 else { return false }
        left -= 1
        return true
      }
    }
    var failingReads = Failing(0)
    var failingWrites = Failing(0)
    /// They lose what was written, but no size, hole or shared storage: those are the file system's own.
    var failingFlushes = Failing(0)
    /// Changes of its structure.
    var failingChanges = Failing(0)
    /// Bytes that are all the same after each write, or `violation` says that they were not.
    var uniform: Range<Int>?
    private(set) var violation: String?
    /// Bytes of writes that were held back, and what is to be done when the store gets one of them.
    var heldBytes: [UInt8: () -> Void] = [:]
    /// How long the file is by a write that was held back, and what is to be done when the store becomes as long.
    var heldEnds: [Int: () -> Void] = [:]
    /// Whether files can share storage.
    var sharesStorage = true
    /// Whether it says where its holes are.
    var knowsHoles: Bool
    /// Whether lone misses go their short way.
    let readsOnCaller: Bool
    /// Reads that were asked for.
    private(set) var reads = 0
    private var changes: Int64 = 0

    static let pageSize = 256

    init(name: String, bytes: [UInt8], holes: Set<Int> = [], readsOnCaller: Bool = false) {
      self.readsOnCaller = readsOnCaller
      self.name = name
      identity = StoreIdentity(realm: "model", object: name)
      self.bytes = bytes
      durable = bytes
      unwritten = bytes
      self.holes = holes
      knowsHoles = !holes.isEmpty
    }

    /// Nothing fails any more.
    func heal() {
      failingReads = Failing(0)
      failingWrites = Failing(0)
      failingFlushes = Failing(0)
      failingChanges = Failing(0)
    }

    /// Whether a call fails: a step of its own, if any does.
    private func fails(_ call: String, _ failing: ReferenceWritableKeyPath<ModelStore, Failing>) -> Bool {
      guard self[keyPath: failing].due > 0 else { return false }
      step(call)
      guard self[keyPath: failing].isNext() else { return false }
      Explorer.shared.note("\(name): \(call) fails", Site(#fileID, #line))
      return true
    }

    private func step(_ text: @autoclosure () -> String, line: UInt = #line) {
      Explorer.shared.call("\(name): \(text())", order, Site(#fileID, line))
    }

    func status() throws(StoreError) -> StoreStatus {
      step("tells its size")
      let allocated = Int64((bytes.count + Self.pageSize - 1) / Self.pageSize - holes.count) * Int64(Self.pageSize)
      return StoreStatus(
        size: Int64(bytes.count), changeStamp: .init(seconds: changes, nanoseconds: 0), allocatedBytes: allocated)
    }

    func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
      var done = 0
      if let failure = failureOfRead(request.range) { return completion(.failure(failure)) }
      var position = Int(request.offset)
      for number in unsafe request.segments.indices {
        let segment = unsafe request.segments[number]
        done += unsafe deliver(position, to: segment)
        position += segment.count
      }
      completion(.success(done))
    }

    func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
      if let failure = failureOfRead(offset..<offset + Int64(memory.count)) { throw failure }
      return unsafe deliver(Int(offset), to: memory)
    }

    /// Counts a read, and makes it fail if that is due.
    private func failureOfRead(_ range: Range<Int64>) -> StoreError? {
      reads += 1
      guard fails("read", \.failingReads) else { return nil }
      return StoreError(operation: .read, store: name, range: range, cause: .system(.ioError))
    }

    /// Reads one piece of memory full, a page at a step.
    /// - Returns: bytes that were there.
    private func deliver(_ offset: Int, to memory: UnsafeMutableRawBufferPointer) -> Int {
      var position = offset
      var within = 0
      var done = 0
      while within < memory.count {
        let count = min(memory.count - within, Self.pageSize)
        step("reads \(position)..<\(position + count)")
        let there = max(0, min(bytes.count - position, count))
        if there > 0 {
          unsafe bytes.withUnsafeBytes {
            unsafe racyStore(to: memory.baseAddress! + within, from: $0.baseAddress! + position, count: there)
          }
        }
        done += there
        position += count
        within += count
      }
      return done
    }

    func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
      if fails("write", \.failingWrites) {
        throw StoreError(operation: .write, store: name, range: request.range, cause: .system(.ioError))
      }
      var position = Int(request.offset)
      var done = 0
      for number in unsafe request.segments.indices {
        let segment = unsafe request.segments[number]
        var within = 0
        while within < segment.count {
          // Up to the end of a page.
          let count = min(segment.count - within, Self.pageSize - position % Self.pageSize)
          step("writes \(position)..<\(position + count)")
          changes += 1
          if bytes.count < position + count {
            let first = (bytes.count + Self.pageSize - 1) / Self.pageSize
            let last = (position + count - 1) / Self.pageSize
            bytes += Array(repeating: 0, count: position + count - bytes.count)
            unwritten += Array(repeating: 0, count: max(0, bytes.count - unwritten.count))
            if first < last { holes.formUnion(first..<last) }
          }
          for place in 0..<count { unsafe bytes[position + place] = segment[within + place] }
          if !heldBytes.isEmpty {
            for byte in Set(bytes[position..<position + count]) { heldBytes.removeValue(forKey: byte)?() }
          }
          holes.remove(position / Self.pageSize)
          if let uniform, Set(bytes[uniform]).count > 1 {
            violation = "the store was given a page half written: \(Outcome.bytes(Array(bytes[uniform])))"
          }
          position += count
          within += count
          done += count
        }
      }
      return done
    }

    func flush(dataOnly: Bool) throws(StoreError) {
      if fails("flush", \.failingFlushes) {
        bytes = unwritten
        throw StoreError(operation: .flush, store: name, cause: .system(.ioError))
      }
      step("flushes")
      durable = bytes
      unwritten = bytes
    }

    func resize(to size: Int64) throws(StoreError) {
      if fails("resize", \.failingChanges) {
        throw StoreError(operation: .resize, store: name, cause: .system(.ioError))
      }
      step("resizes to \(size)")
      changes += 1
      let size = Int(size)
      if size < bytes.count {
        bytes.removeLast(bytes.count - size)
        unwritten.removeLast(max(0, unwritten.count - size))
        holes = holes.filter { $0 * Self.pageSize < size }
      } else {
        heldEnds.removeValue(forKey: size)?()
        grow(to: size)
      }
    }

    private func grow(to size: Int) {
      guard size > bytes.count else { return }
      let first = (bytes.count + Self.pageSize - 1) / Self.pageSize
      bytes += Array(repeating: 0, count: size - bytes.count)
      unwritten += Array(repeating: 0, count: max(0, size - unwritten.count))
      let end = (size + Self.pageSize - 1) / Self.pageSize
      if first < end { holes.formUnion(first..<end) }
    }

    func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
      let range = Int(range.lowerBound)..<Int(range.upperBound)
      if fails("\(change)", \.failingChanges) {
        throw StoreError(operation: change.operation, store: name, cause: .system(.ioError))
      }
      step("\(change) \(range)")
      changes += 1
      switch change {
      case .punchHole: zero(range, punches: true)
      case .zero(let keepingSize):
        if !keepingSize { grow(to: range.upperBound) }
        zero(range, punches: false)
      case .collapse:
        bytes.removeSubrange(range)
        unwritten.removeSubrange(range)
        holes = []
      case .insert:
        bytes.insert(contentsOf: Array(repeating: 0, count: range.count), at: range.lowerBound)
        unwritten.insert(contentsOf: Array(repeating: 0, count: range.count), at: range.lowerBound)
        holes = []
      case .allocate, .unshare:
        break
      }
    }

    /// Parts of pages are zeroed by writing: a flush that fails may lose that.
    private func zero(_ range: Range<Int>, punches: Bool) {
      for place in range where place < bytes.count { bytes[place] = 0 }
      for page in 0..<(bytes.count + Self.pageSize - 1) / Self.pageSize {
        let (start, end) = (page * Self.pageSize, min((page + 1) * Self.pageSize, bytes.count))
        guard range.lowerBound <= start, range.upperBound >= end else { continue }
        for place in start..<end { unwritten[place] = 0 }
        if punches { holes.insert(page) } else { holes.remove(page) }
      }
    }

    func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
      guard let source = source as? ModelStore, sharesStorage else {
        throw StoreError(operation: .clone, store: name, cause: .unsupported)
      }
      if fails("clone", \.failingChanges) {
        throw StoreError(operation: .clone, store: name, cause: .system(.ioError))
      }
      step("clones")
      changes += 1
      let copy = Array(source.bytes[Int(range.lowerBound)..<Int(range.upperBound)])
      let end = Int(offset) + copy.count
      grow(to: end)
      bytes.replaceSubrange(Int(offset)..<end, with: copy)
      unwritten.replaceSubrange(Int(offset)..<end, with: copy)
      holes = []
    }

    func dedupe(_ range: Range<Int64>, with other: any BackingStore, at offset: Int64) throws(StoreError) -> Bool {
      guard let other = other as? ModelStore, sharesStorage else {
        throw StoreError(operation: .dedupe, store: name, cause: .unsupported)
      }
      step("compares")
      let end = Int(offset) + range.count
      guard range.upperBound <= other.bytes.count, end <= bytes.count else { return false }
      return other.bytes[Int(range.lowerBound)..<Int(range.upperBound)] == bytes[Int(offset)..<end]
    }

    func extent(at offset: Int64) throws(StoreError) -> StoreExtent {
      guard knowsHoles else { return StoreExtent(isHole: false, end: .max) }
      step("tells of \(offset)")
      var page = Int(offset) / Self.pageSize
      let isHole = holes.contains(page)
      while holes.contains(page) == isHole, page * Self.pageSize < bytes.count { page += 1 }
      return StoreExtent(isHole: isHole, end: page * Self.pageSize >= bytes.count ? .max : Int64(page * Self.pageSize))
    }

    func prepareToWrite() throws(StoreError) {}
    func close() {}
  }
#endif
