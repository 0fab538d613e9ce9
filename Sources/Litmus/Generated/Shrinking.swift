#if RaceLaboratory
  extension GeneratedProgram {
    /// The same with less: without a thread, a letter or a feature.
    var smaller: [GeneratedProgram] {
      var programs: [GeneratedProgram] = []
      if threads.count > 1 {
        for thread in threads.indices {
          var less = self
          less.threads.remove(at: thread)
          programs.append(less)
        }
      }
      for thread in threads.indices where threads[thread].count > 1 {
        for letter in threads[thread].indices {
          var less = self
          less.threads[thread].remove(at: letter)
          programs.append(less)
        }
      }
      for feature in features.indices {
        var less = self
        less.features.remove(at: feature)
        programs.append(less)
      }
      return programs.filter { Exclusion.of($0) == nil }
    }

    /// Takes away what is not needed for it to fail.
    /// - Parameter failure: explores a program; nil if nothing is wrong.
    func shrunk<Failure>(_ found: Failure, _ failure: (GeneratedProgram) -> Failure?) -> (GeneratedProgram, Failure) {
      var smallest = self
      var last = found
      search: while true {
        for candidate in smallest.smaller {
          if let found = failure(candidate) {
            smallest = candidate
            last = found
            continue search
          }
        }
        return (smallest, last)
      }
    }

    /// Whether it does all that another does, from a start with all its features.
    func contains(_ other: GeneratedProgram) -> Bool {
      Set(features).isSuperset(of: other.features) && covers(other.threads[...], with: threads)
    }

    private func covers(_ wanted: ArraySlice<[String]>, with threads: [[String]]) -> Bool {
      guard let first = wanted.first else { return true }
      for (place, thread) in threads.enumerated() where Self.isSubsequence(first, of: thread) {
        var rest = threads
        rest.remove(at: place)
        if covers(wanted.dropFirst(), with: rest) { return true }
      }
      return false
    }

    private static func isSubsequence(_ wanted: [String], of letters: [String]) -> Bool {
      var left = wanted[...]
      for letter in letters where letter == left.first { left.removeFirst() }
      return left.isEmpty
    }
  }
#endif
