import PageCache
import SystemPackage
import Glibc
import Primitives

let path = FilePath("/tmp/spike/file1m")
let fd = try FileDescriptor.open(path, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
let size = Int(CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "1048576")!
let block = Int(CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "256")!
let order = Int(CommandLine.arguments.count > 3 ? CommandLine.arguments[3] : "0")!
let chunk = [UInt8](repeating: 7, count: 1 << 20)
for _ in 0..<size >> 20 { _ = try unsafe chunk.withUnsafeBytes { try unsafe fd.write($0) } }
let cache = try PageCache(.init(memoryLimit: size + size / 8 + (32 << 20), folioOrders: order...order))
let file = try cache.open(path)
var buffer = [UInt8](repeating: 0, count: 1 << 20)
let raw = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
for o in stride(from: 0, to: size, by: 1 << 20) { let n = try unsafe file.read(fromAbsoluteOffset: Int64(o), into: raw); if n == 0 { print("eof") } }
for o in stride(from: 0, to: size, by: 1 << 20) { let n = try unsafe file.read(fromAbsoluteOffset: Int64(o), into: raw); if n == 0 { print("eof") } }
let map = unsafe mmap(nil, size, PROT_READ, MAP_SHARED | 0x8000, fd.rawValue, 0)!
let blocks = UInt64((CommandLine.arguments.count > 4 ? Int(CommandLine.arguments[4])! : size) / block)
for _ in 0..<3 {
  let n = 5_000_000
  var r = RandomWords(seed: 1)
  var t = monotonicNanoseconds()
  let dst = unsafe UnsafeMutableRawBufferPointer(rebasing: raw[..<block])
  for _ in 0..<n { let o = r.next(below: blocks) &* UInt64(block); unsafe _ = try file.read(fromAbsoluteOffset: Int64(o), into: dst) }
  let a = Double(monotonicNanoseconds() - t) / Double(n)
  t = monotonicNanoseconds()
  for _ in 0..<n { let o = r.next(below: blocks) &* UInt64(block); unsafe _ = memcpy(dst.baseAddress!, map + Int(o), block) ; keep(o)}
  let b = Double(monotonicNanoseconds() - t) / Double(n)
  print(a, b, a / b)
}
