import Glibc

/// Where exercises make their files if nobody says otherwise.
package enum ExercisePlaces {
  package static var path: String { "\(TestFiles.parentDirectory(nil))/pagecache-exercise-\(getpid())" }
}
