import Glibc
import PageCache
import Primitives
import TestSupport
import Testing

/// The state machine for durability, alone: random steps of several threads against a plain description of P7.
@Suite struct DurabilityMachineTests {
  /// Steps in all. `PAGECACHE_STEPS` in the environment sets it.
  static let steps =
    unsafe getenv("PAGECACHE_STEPS").flatMap { unsafe Int(String(cString: $0)) } ?? (isSanitized ? 20_000 : 1_000_000)
  private static let stepsOfSeed = 400
  /// Steps after which everything ends, and nothing may be owed. The next ones begin with a file that is durable.
  private static let stepsOfPart = 100

  private static func run(seed: UInt64, traced: Bool = false) -> DurabilityMachine {
    var machine = DurabilityMachine(seed: seed, traced: traced)
    for step in 1...stepsOfSeed where machine.problem == nil {
      machine.step()
      if step % stepsOfPart == 0, machine.problem == nil { machine.drain() }
    }
    return machine
  }

  @Test func randomStepsKeepWhatIsPromised() {
    var counts = DurabilityMachine.Counts()
    for number in 0..<UInt64(Self.steps / Self.stepsOfSeed) {
      let seed = testSeed &+ number
      let machine = Self.run(seed: seed)
      counts.add(machine.counts)
      guard machine.problem != nil else { continue }
      Issue.record("\(Self.run(seed: seed, traced: true).findings.account(seed: seed))")
      return
    }
    // What is never done is not tested.
    for (name, count) in counts.all { #expect(count > Self.steps / 10_000, "\(name): \(counts.all)") }
  }
}

extension DurabilityMachine.Counts {
  var all: [(name: String, count: Int)] {
    [
      ("syncs", syncs), ("failed syncs", failedSyncs), ("flushes", flushes), ("failed flushes", failedFlushes),
      ("transfers that end dirty", dirtyAfterTransfer), ("passes that have passed something over", passedOver),
      ("points reached", reached),
    ]
  }

  mutating func add(_ other: Self) {
    syncs += other.syncs
    failedSyncs += other.failedSyncs
    flushes += other.flushes
    failedFlushes += other.failedFlushes
    dirtyAfterTransfer += other.dirtyAfterTransfer
    passedOver += other.passedOver
    reached += other.reached
  }
}
