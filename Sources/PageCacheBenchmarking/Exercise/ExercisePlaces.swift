import Glibc

/// Where files are made if nobody says otherwise.
package enum ExercisePlaces {
  package static func directory(_ given: String?) -> String { TestFiles.parentDirectory(given) }

  package static var path: String { "\(directory(nil))/pagecache-exercise-\(getpid())" }
}
