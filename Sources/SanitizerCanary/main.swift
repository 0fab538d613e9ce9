import Glibc
import Primitives

// A race that ThreadSanitizer must report: if a build with the sanitizer runs this and says nothing, its silence about the cache means nothing
// either. Each word names one race: by plain words, or by memcpy (which the sanitizer looks at only if told so).
let way = CommandLine.arguments.dropFirst().first ?? "words"
let shared = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 64)
unsafe shared.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
nonisolated(unsafe) let memory = unsafe shared

onThreads(2) { thread in
  let mine = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 64)
  defer { unsafe mine.deallocate() }
  for round in 0..<1000 {
    switch way {
    case "memcpy":
      if thread == 0 { unsafe _ = memcpy(memory, mine, 4096) } else { unsafe _ = memcpy(mine, memory, 4096) }
    default:
      // Through a typed pointer: raw memory's own accessors run in the standard library, where the sanitizer sees nothing.
      let word = unsafe memory.assumingMemoryBound(to: UInt64.self)
      if thread == 0 { unsafe word.pointee = UInt64(round) } else { keep(unsafe word.pointee) }
    }
  }
}
print("no race reported by way of \(way)")
