// Package powercut has no code of its own: its tests cut the power of real file systems.
//
// A cut is the shutdown request that ext4 and XFS share: from then on the file system refuses every I/O and writes nothing
// more, neither what lies in the page cache nor its own journal. The image behind it is what a disk would have held. The
// next mount recovers the file system, and the next open the database.
//
//	image --loop device--> file system --mount--> writers --cut--> unmount --mount--> verify --> the next writers
//
// What the block device was given counts as stored: that the file systems flush a drive's own cache is not tested here.
//
// The tests need Linux, root, mkfs.ext4 and mkfs.xfs, loop devices, and leave to mount; without they are skipped, and say why.
// Everything is mounted in a namespace that belongs to a process of its own, on devices that detach themselves, from images
// without names: nothing is left when that process ends, however it does.
package powercut
