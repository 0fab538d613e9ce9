import PageCache

/// The caches in which histories are done, one after the other.
final class CrashHost {
  private var caches: [Int?: PageCache] = [:]
  private var count: UInt64 = 0

  /// What is wrong with the stores.
  private let plant: CrashPlant

  struct Result {
    let problem: CrashProblem?
    let images: Int
    let exclusion: CrashExclusion?
    let events: [String]
  }

  init(plant: CrashPlant = .none) { self.plant = plant }

  /// Fewer pages than this may not be owed: one call must be served.
  static let leastRoom = 4

  private static func makeCache(room: Int?) throws -> PageCache {
    var configuration = PageCache.Configuration(
      memoryLimit: 1 << 20, folioOrders: 0...0, maximumAtomicLength: CrashUnits.pagesMax * CrashUnits.pageByteCount,
      writeBackAge: .seconds(3600), readAheadLength: 0)
    configuration.frameShift = CrashUnits.pageShift
    configuration.fanOutShift = 2
    if let room {
      configuration.memoryLimit = 1
      for case .memoryLimitTooSmall(_, let needed) in configuration.problems {
        // What a frame takes with what describes it.
        configuration.memoryLimit = needed + room * (CrashUnits.pageByteCount + 64)
      }
    }
    return try PageCache(configuration)
  }

  func run(
    _ history: CrashHistory, seed: UInt64, imagesMax: Int, keepsEvents: Bool = false
  ) throws -> Result {
    count += 1
    let cache: PageCache
    if let known = caches[history.room] {
      cache = known
    } else {
      // A process has sixty-four caches at most.
      if caches.count > 32 { caches = [:] }
      cache = try Self.makeCache(room: history.room)
      caches[history.room] = cache
    }
    let run = CrashRun(
      history, cache: cache, number: count, seed: seed, imagesMax: imagesMax, keepsEvents: keepsEvents, plant: plant)
    let problem = run.run()
    // What a failure has left in it is not to be met again.
    if problem != nil { caches[history.room] = nil }
    return Result(
      problem: problem, images: run.world.imageCount, exclusion: run.world.exclusion, events: run.world.events)
  }
}
