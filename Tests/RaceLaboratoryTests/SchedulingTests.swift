import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  @Suite struct SchedulingTests {
    private func site(_ line: UInt = #line) -> Site { Site(#fileID, line) }

    @Test func aLockExcludes() {
      var worst = 0
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let lock = ModelMutex()
        let words = Words(1)
        var inside = 0
        let body = {
          Explorer.shared.lock(lock, self.site())
          inside += 1
          worst = max(worst, inside)
          words.store(0, words.load(0) + 1)
          inside -= 1
          Explorer.shared.unlock(lock, self.site())
        }
        return Program(
          threads: (0..<3).map { ("thread \($0)", body) },
          check: { words.load(0) == 3 ? nil : "an addition was lost: \(words.load(0))" })
      }
      #expect(report.failure == nil && report.isComplete)
      #expect(worst == 1)
      #expect(report.executions <= 7)
    }

    @Test func aLostUpdateIsFound() throws {
      func make() -> Program {
        let words = Words(1)
        return Program(
          threads: (0..<2).map { ("thread \($0)", { words.store(0, words.load(0) + 1) }) },
          check: { words.load(0) == 2 ? nil : "lost" })
      }
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil), make)
      let failure = try #require(report.failure)
      #expect(failure.kind == .check)
      // And again, from what is printed.
      let path = try #require(Path(failure.path.description))
      let again = Explorer.shared.explore(.replay(path), make)
      #expect(again.failure?.message == "lost")
      #expect(again.failure?.trace.count == failure.trace.count)
      // At random, too.
      #expect(Explorer.shared.explore(.random(seed: 1, count: 1000), make).failure != nil)
      #expect(Explorer.shared.explore(.priorities(seed: 1, count: 1000, depth: 2), make).failure != nil)
    }

    @Test func aDeadlockIsFound() throws {
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let locks = [ModelMutex(), ModelMutex()]
        func both(_ first: Int, _ second: Int) -> () -> Void {
          {
            Explorer.shared.lock(locks[first], self.site())
            Explorer.shared.lock(locks[second], self.site())
            Explorer.shared.unlock(locks[second], self.site())
            Explorer.shared.unlock(locks[first], self.site())
          }
        }
        return Program(threads: [("one", both(0, 1)), ("other", both(1, 0))])
      }
      #expect(try #require(report.failure).kind == .deadlock)
    }

    @Test(arguments: [true, false]) func aLostWakeUpIsFound(looksWithLock: Bool) {
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let lock = ModelMutex()
        let words = Words(1)
        return Program(threads: [
          (
            "waits",
            {
              if looksWithLock { Explorer.shared.lock(lock, self.site()) }
              let isThere = words.load(0) != 0
              if !looksWithLock { Explorer.shared.lock(lock, self.site()) }
              if !isThere { Explorer.shared.wait(lock, isTimed: false, self.site()) }
              Explorer.shared.unlock(lock, self.site())
            }
          ),
          (
            "signals",
            {
              Explorer.shared.lock(lock, self.site())
              words.store(0, 1)
              Explorer.shared.wake(lock, all: false, self.site())
              Explorer.shared.unlock(lock, self.site())
            }
          ),
        ])
      }
      #expect((report.failure?.kind == .deadlock) == !looksWithLock)
      #expect(report.failure != nil || report.isComplete)
    }

    @Test func aTryThatFailsCanAlsoSucceed() {
      var found: Set<Bool> = []
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let lock = ModelMutex()
        return Program(threads: [
          (
            "holds",
            {
              Explorer.shared.lock(lock, self.site())
              Explorer.shared.unlock(lock, self.site())
            }
          ),
          (
            "tries",
            {
              let isMine = Explorer.shared.tryLock(lock, self.site())
              found.insert(isMine)
              if isMine { Explorer.shared.unlock(lock, self.site()) }
            }
          ),
        ])
      }
      #expect(report.isComplete && report.failure == nil)
      #expect(found == [true, false])
    }

    /// Memory that was read before it was handed over could have been read after that.
    @Test(arguments: [nil, 0, 1] as [Int?]) func memoryOfAnotherOwnerIsFound(preemptions: Int?) throws {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 256)
      defer { unsafe memory.deallocate() }
      let start = try unsafe #require(memory.baseAddress)
      unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
      let report = Explorer.shared.explore(.exhaustive(preemptions: preemptions)) {
        unsafe Explorer.shared.share(start, count: 256)
        return Program(threads: [
          (
            "reads",
            {
              var bytes: UInt64 = 0
              unsafe withUnsafeMutableBytes(of: &bytes) {
                unsafe Explorer.shared.copy(
                  to: $0.baseAddress.unsafelyUnwrapped, from: start, count: 8, self.site())
              }
            }
          ),
          ("takes", { unsafe Explorer.shared.handOver(start, count: 256) }),
        ])
      }
      #expect(try #require(report.failure).kind == .reuse)
    }

    /// Two threads store the halves of one word: neither takes the other's back.
    @Test func partsOfAWordAreStoredAlone() throws {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 256)
      defer { unsafe memory.deallocate() }
      let start = try unsafe #require(memory.baseAddress)
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe Explorer.shared.share(start, count: 256)
        return Program(
          threads: (0..<2).map { number in
            (
              "stores \(number)",
              {
                let bytes: UInt32 = 0x0101_0101 << UInt32(number)
                unsafe withUnsafeBytes(of: bytes) {
                  unsafe Explorer.shared.copy(
                    to: start + number * 4, from: $0.baseAddress.unsafelyUnwrapped, count: 4, self.site())
                }
              }
            )
          },
          check: {
            let word = unsafe start.load(as: UInt64.self)
            return word == 0x0202_0202_0101_0101 ? nil : "\(String(word, radix: 16))"
          })
      }
      #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
    }

    @Test func spinningEnds() {
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let words = Words(1)
        return Program(threads: [
          ("spins", { while words.load(0) == 0 { Explorer.shared.yield(self.site()) } }),
          ("stores", { words.store(0, 1) }),
        ])
      }
      #expect(report.isComplete && report.failure == nil)
    }

    /// Each takes the lock that the other has looked at, so each has news: the third still gets its turn.
    @Test(arguments: [0, 1]) func spinningUnderOneLockEnds(preemptions: Int) {
      let report = Explorer.shared.explore(.exhaustive(preemptions: preemptions)) {
        let lock = ModelMutex()
        let words = Words(1)
        func isSet() -> Bool {
          Explorer.shared.lock(lock, self.site())
          defer { Explorer.shared.unlock(lock, self.site()) }
          return words.load(0) != 0
        }
        let spins = { while !isSet() { Explorer.shared.yield(self.site()) } }
        return Program(threads: [
          ("spins", spins), ("spins too", spins),
          (
            "stores",
            {
              Explorer.shared.lock(lock, self.site())
              words.store(0, 1)
              Explorer.shared.unlock(lock, self.site())
            }
          ),
        ])
      }
      #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
    }

    @Test func spinningForNothingIsFound() throws {
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let words = Words(1)
        return Program(threads: [
          ("spins", { while words.load(0) == 0 { Explorer.shared.yield(self.site()) } }), ("ends", {}),
        ])
      }
      #expect(try #require(report.failure).kind == .livelock)
    }

    @Test func theBoundOnPreemptionsHolds() {
      // Only found with two preemptions: the first thread is interrupted twice.
      func make() -> Program {
        let words = Words(1)
        var seen: [UInt64] = []
        return Program(
          threads: [
            ("adds", { for _ in 0..<3 { seen.append(words.add(0, 1, .acquireRelease)) } }),
            ("adds a lot", { for _ in 0..<2 { _ = words.add(0, 100, .acquireRelease) } }),
          ],
          check: { seen == [0, 101, 202] ? "found" : nil })
      }
      #expect(Explorer.shared.explore(.exhaustive(preemptions: 1), make).failure == nil)
      #expect(Explorer.shared.explore(.exhaustive(preemptions: 3), make).failure != nil)
    }

    @Test func bytesOfANewOwnerAreNotRead() throws {
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 256)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: 256)
        unsafe Explorer.shared.share(memory, count: 256)
        return Program(threads: [
          (
            "reads",
            {
              var word: UInt64 = 0
              unsafe Explorer.shared.copy(to: &word, from: memory, count: 8, self.site())
            }
          ),
          (
            "takes",
            {
              unsafe Explorer.shared.handOver(memory, count: 256)
              unsafe Explorer.shared.zero(memory, count: 8, self.site())
            }
          ),
        ])
      }
      #expect(try #require(report.failure).kind == .reuse)
    }
  }
}
