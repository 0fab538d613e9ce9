#if RaceLaboratory
  /// Generated programs, one after the other: every pair of letters from every plain start, every letter beside its
  /// companions, and by turns one that is drawn. The same for the same seed.
  struct ProgramSource {
    private var random: SeededRandom
    private var pairs: [GeneratedProgram]
    private var seen: Set<GeneratedProgram> = []
    private var isDrawn = false
    /// Programs that were not handed out, by reason.
    private(set) var excluded: [String: [GeneratedProgram]] = [:]

    init(seed: UInt64) {
      random = SeededRandom(seed: seed)
      pairs = (ProgramSource.pairs + ProgramSource.triples).shuffled(using: &random)
    }

    private static let triples: [GeneratedProgram] = Feature.plainOfTriples.flatMap { features in
      Letter.companions.flatMap { threads in
        Letter.all.map { GeneratedProgram(features: features, threads: threads + [[$0.name]]) }
      }
    }

    private static let pairs: [GeneratedProgram] = Feature.plain.flatMap { features in
      Letter.all.indices.flatMap { one in
        Letter.all.indices.dropFirst(one).map { other in
          GeneratedProgram(features: features, threads: [[Letter.all[one].name], [Letter.all[other].name]])
        }
      }
    }

    mutating func next() -> GeneratedProgram {
      while true {
        isDrawn.toggle()
        let program = isDrawn ? draw() : pairs.popLast() ?? draw()
        guard seen.insert(program).inserted else { continue }
        guard let exclusion = Exclusion.of(program) else { return program }
        excluded[exclusion.reason, default: []].append(program)
      }
    }

    mutating func next(_ count: Int) -> [GeneratedProgram] { (0..<count).map { _ in next() } }

    private mutating func draw() -> GeneratedProgram {
      var groups: Set<String> = []
      var features: [String] = []
      for _ in 0..<[0, 1, 1, 2, 2, 3].randomElement(using: &random)! {
        let feature = Feature.all.randomElement(using: &random)!
        if groups.insert(feature.group).inserted { features.append(feature.name) }
      }
      let count = [2, 2, 3].randomElement(using: &random)!
      var threads = (0..<count).map { _ in (0..<[1, 2].randomElement(using: &random)!).map { _ in drawLetter() } }
      // By itself, one half of a message is seldom drawn beside the other.
      if Int.random(in: 0..<12, using: &random) == 0 {
        threads[0] = [drawLetter(), "send"]
        threads[1] = ["receive", drawLetter()]
      }
      return GeneratedProgram(features: features, threads: threads)
    }

    private mutating func drawLetter() -> String {
      Letter.groups.randomElement(using: &random)!.randomElement(using: &random)!.name
    }
  }

  /// SplitMix64.
  struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var word = state
      word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
      return word ^ word >> 31
    }
  }
#endif
