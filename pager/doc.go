// Package pager keeps pages: it caches them, versions them for snapshots, writes what commits change to the log, and moves
// it into the database file at checkpoints. It knows nothing of keys; what a page holds is the tree's business.
//
// Nothing live is ever overwritten. Commits go to the log; a checkpoint writes what changed into free blocks and then
// writes a meta block that refers to them. Formats: meta.go, page.go, map.go, bitmap.go.
//
// # Words
//
//	page        logical: an id, an image, a version. An extent is a page of several blocks
//	block       a place of one page size in the file; a run is several, one behind the other
//	map         radix tree from page id to run and checksum; one for each generation, sharing nodes
//	generation  a completed checkpoint: map, bitmaps, and the commit X that it covers
//	snapshot    {commit seq, generation}: what a reader sees
//	image       the bytes of a page at one version; immutable once its commit is queued
//	supersede   a block that generation n has and generation n+1 has not is superseded by n+1
//
// # Where a snapshot {seq s, generation g} finds a page
//
//	table: an image in memory whose interval of versions holds s
//	  | none
//	  v
//	log index: the newest frame of the page with version <= s, in the layers from g on;
//	  |        a delta is applied to what a snapshot just before it finds, in the same way
//	  | none
//	  v
//	map of g: the run, and the checksum of what lies there
//
// # The life of a page image
//
//	           first touch             queue                group written        checkpoint
//	(absent) -------------> dirty --------------> pinned ----------------> clean ----------> clean
//	                        |   ^                                            |
//	                  spill |   | get                                  evict |  (a pointer is dropped;
//	                        v   |                                            v   holders keep the bytes)
//	                       spilled --- queue (a reference in the log) -->  on disk
//
//	dirty    private to the writer's transaction, and mutable
//	pinned   immutable; its frame is not readable in the log yet, so it must stay in memory. A commit is only queued if there
//	         is room for what it pins (commit_room.go)
//	clean    immutable; log and file can give it back
//
// # Checkpoint, row by row
//
// g is the newest durable generation, X the newest durable commit at the start, Xg the one that g covers.
//
//	step                          file, volatile          file, durable        blocks                 after a cut
//	fix X, split the log index    g                       g                    free blocks reserved   g and the log from Xg
//	write changed pages <= X      + pages, unreachable    g                    taken                  same: what g and the
//	write changed map nodes       + map of g+1            g                    taken                  log don't name is free
//	write changed bitmaps         + other homes           g                    -                      same
//	sync the file                 as above                g, + all of g+1      -                      same
//	write the other meta block    meta g+1                either meta          -                      g or g+1: the log covers
//	                                                                                                 both, nothing is reused yet
//	sync                          g+1                     g+1                  -                      g+1 and the log from X
//	publish (proof of sync)       g+1                     g+1                  superseded by g+1:     g+1
//	                                                                           free when no reader
//	                                                                           holds a generation
//	                                                                           that has them
//	recycle log, cut the file     shorter                 either              -                      g+1
//
// A failed write, or a failed sync of the file before the meta write, ends the attempt: its blocks are free again once
// their I/O is retired, no bitmap home that g uses was touched, and the next attempt writes everything anew. Two failed
// syncs in a row, or a failed write or sync of the meta block, are sticky: nothing is written or reused any more.
//
// # Moves, row by row
//
// A truncating checkpoint, and Close where it is worth it, also moves what lies at the end of the file into holes: further
// attempts of the kind above, whose changed pages are some that lie too high (shrink.go). Commits go on meanwhile.
//
//	step                          page P, moved from A to B       after a cut
//	find, take B                  g says A; B is taken            g: A
//	copy, verified by the sum     B written, unreachable          g: A; B is free again
//	map, sync, meta block         g says A, g+1 says B            either, with the same bytes
//	P changes in the log > X      g+1 says B for commit X;        either, and the log's frame is newer than both
//	                              the frame is newer
//	a reader of g                 reads A, which is not free      -
//	its end                       A is free                       g+1: B
//	the next attempt, the cut     the file ends before A          either
//
// A page that the log changed up to X is not copied: the attempt gives it a new place, a low one, anyway.
//
// # Open, row by row
//
//	state found                         what is done before serving
//	no file                             create under a temporary name, sync, link without replacing, sync directory
//	clean, no log                       nothing is written
//	clean, log without a newer commit   the log is ignored; the first write takes its file over, once it has written
//	                                    the clean meta block again and synced it
//	clean, log with a newer commit      ErrLogMismatch
//	needs-log, log missing              ErrLogMissing
//	needs-log, log there                wal's recovery; blocks named by references in it are taken; the meta block
//	                                    and unproven log blocks are written again and synced (writable opens)
//
// # Copies
//
// A copy is a new, clean database of one snapshot {s, g}, with an id of its own, made by a reader beside everybody else. It
// is a stream from offset 0 to the end, so what its meta blocks say has to be known first:
//
//	sum       read the pages that the log has between g and s, for their checksums
//	place     find a block for each, and for each map node above a change, level by level; make the nodes for their sums
//	lay out   length, bitmaps, meta blocks
//	stream    window by window, some read ahead: blocks of g as they are, verified; pages of the log and changed nodes,
//	          found and made a second time; bitmaps and meta blocks; nothing for free blocks
//
// Blocks keep their addresses: those of g, those that references in the log name, and changed pages and map nodes, which
// take the block of the version that they replace. What is new takes blocks that are free in the copy. So memory is needed
// for what the log changed, at most a checkpoint's worth and some 80 bytes a page, for one bit a block, and for a few windows; and
// the log's pages are read twice.
//
// A block says itself which page or map node it is. It is believed if the snapshot's map, or its log, has that page or
// node in this block, with its checksum (copy_check.go). For a file in the order of page ids that costs one read of each
// map node, 0.4 % of the file; at the worst one for each page, copyBatch at a time, where the cache is too small for the map.
package pager
