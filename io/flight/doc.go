// Package flight records what a program asks of its files, and how that ended, in a file of its own: a flight recorder.
// The simulator replays the recording: it looks whether an order rule was broken, whether the disk gave back what was
// written to it, and whether the database survives a power cut at every point of the recording.
//
//	rec, err := flight.Record(io.NewSystem(), "app.flight", flight.Options{})
//	db, err := pawl.Open("app.pawl", &pawl.Options{IO: rec, OnEvent: func(e pawl.Event) {
//		if e.Err == nil && (e.Kind == pawl.EventOpen || e.Kind == pawl.EventCommit || e.Kind == pawl.EventCheckpoint) {
//			rec.Note(flight.Durable, e.Seq)
//		}
//	}})
//
// That is for programs all of whose commits are durable. The event of a relaxed commit comes before it is on stable storage: a program
// that makes any leaves EventCommit out, or notes DB.Stats().Durable.
//
// A recording holds the program's data in the clear: the content of each file from when it was first used, and all that
// was written since.
//
// # What goes where
//
//	program --Read, Write, Sync ...--> Recorder --the same completion--> backend
//	                                      |                                |
//	                                      | submit, before the backend     | end, before the completion
//	                                      |        has it                  |      has resolved
//	                                      v                                v
//	                                  recording  <--------- Completion.Observe
//
// The backend gets the completions of the program themselves. So waiting, cancelling, groups, and a waiter that lends
// its goroutine are what they are without a recorder; what comes on top is a copy of each byte written, a hash of each
// byte read, and a system call for each write. Methods that a backend has beyond io.IO are not there on a Recorder: ask
// the backend itself.
//
// The order of records is the order in which things happened as far as anybody could tell: an end is recorded before
// anyone can act on it, a submission before the backend can. Records of reads are handed to the operating system with
// the next change at the latest, or Flush; a change is handed over before the backend gets it. So the recording of a
// process that died lacks nothing that its files have. It is never synced: a power cut may take its end.
//
// # Images
//
// The first read, write or truncate of a file that was opened through the recorder waits until the file's content has
// been read and recorded. Locks come before that, so that what another process did while it had the lock is in. Nothing
// else ever waits for the recorder. A file that this open has made needs no image.
//
// # Parts
//
// Without Options.History the recording grows for as long as the program runs. With it, it is a row of parts, files of
// their own, each of which can be replayed alone:
//
//	part 1  [image | history ........ History bytes]
//	part 2                                          [image, taken from part 1 | history ........ ]
//	part 3                                                                                       [image, from part 2 | ...
//	                                     part 1 is removed once the image in part 3 is whole ----------------^
//
// A part's image is made from the recording alone, by a goroutine that runs while it is copied: the program's files are
// not read, and its I/O is not held up. A part is full when its history has History bytes and as many as its image, so
// that copying at most doubles what is written. At rest there are two parts, while an image is copied three. So the newest
// History bytes of history are there at any time, and the recording takes up to six times the larger of the files and
// History, and what the program writes while an image is copied.
//
// # When recording fails
//
// A recording that can't be written (a full disk) stops for good: Err says why, and the program's I/O goes on without.
//
// # Parts of the package
//
//   - format.go: the file, byte by byte
//   - recorder.go: Recorder: its file, notes and end
//   - submit.go: what happens to a submission; handle.go: files
//   - image.go: the image of a file, and what waits for it
//   - parts.go, extents.go: how a part begins, and where each file's bytes are in the recording
//   - reader.go: Reader, for those who replay
package flight
