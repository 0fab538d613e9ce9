#if RaceLaboratory
  import RaceLaboratory

  /// Why nobody would notice if an ordering were weaker.
  struct OrderingArgument {
    /// Module and file.
    let file: String
    /// A part of the line in which it stands.
    let line: String
    let half: OrderingMutant.Half
    let why: String

    init(_ file: String, _ line: String, _ half: OrderingMutant.Half, _ why: String) {
      self.file = file
      self.line = line
      self.half = half
      self.why = why
    }

    static let all: [OrderingArgument] = []
  }
#endif
