// Package wal is the write-ahead log: it makes commits durable in the order of their sequence numbers, finds the newest
// frame of a page for a snapshot, and after a crash gives back exactly a prefix of the commits.
//
// The log is one file of fixed-size segments, beside the database, named like it with "-wal" behind. The database
// file's meta block says whether the log is needed and where it starts; the log knows nothing of trees or maps.
// Formats: segment.go (the file and its segments), group.go (the unit of writing), frame.go (what a commit consists
// of). Integers are little-endian.
//
// # Words
//
//	log block   4096 bytes of the log. A log block that holds a durable byte is never rewritten before its segment
//	            is recycled, with one exception: recovery rewrites the same bytes (see below)
//	place       index of a segment in the file: where it lies
//	serial      number of a use of a segment; recycling starts a new use. {epoch, serial} never occurs twice
//	epoch       64 random bits, new at each writable open, so that no two opens can write the same group
//	chain       checksum over everything since the log began: of the chain before and a group's bytes
//	generation  a completed checkpoint of the database file
//	meta write  a completed write of a meta block; numbered, so that what is newer can be told
//	durable     newest commit that is known to be on stable storage
//	visible     newest commit that new readers see; may be ahead of durable for relaxed commits, and moves
//	            in commit order, as each commit meets its own durability class
//
// # The life of a segment
//
//	            Grow: truncate up, zeroes, sync                  first group in it
//	(no file) ----------------------------------> free ---------------------------> current
//	                                               ^ |                                 |
//	                     Recycle: all covered,     | | Trim: cut off the file          | group does not fit
//	                     in no reader's window     | v                                 v
//	                                               | (no file)                        full
//	                                               +-----------------------------------+
//
// A free segment's bytes are stale or zero; nothing refers to them. Only a segment's header, written together with the
// first group in it, makes it part of the chain: it names its predecessor {epoch, serial, end, chain}.
//
// # Commit, row by row
//
// "new" is this commit, "old" the one before. A group holds one commit or several; all of them share its fate.
//
//	step                      log file       durable  visible        after a cut behind this row
//	reserve space             old            old      old            old
//	queue (turn passes on)    old            old      old            old
//	write group               new, unsynced  old      old; relaxed:  old, or new if the whole group reached the disk,
//	                                                  new            header, pads and frames
//	sync                      new            old      same           new
//	publish (proof of sync)   new            new      new            new
//	resolve the tickets       new            new      new            new
//
// Nothing of group n+1 is written before the write of group n has succeeded, and, if a commit of group n asked for
// full durability, its sync. A failed write or sync is sticky: every commit above durable fails with ErrCommitUnknown,
// whatever completes later, and nothing is written any more. Nothing is retried on a file whose sync failed. A close that does not wait
// for commits on their way is a failure in this sense, too.
//
// # First write after a clean state
//
// A clean database file has no log, or one that it does not need.
//
//	step                                     database meta     log file           after a cut behind this row
//	write the clean meta again, sync it      clean             old or none        clean, or needs-log with the old log
//	create or take over NAME-wal, cut to 0   clean             empty              clean; the empty log is ignored
//	grow the first segment: zeroes, header   clean             header, unsynced   clean; a log without groups is ignored
//	sync the log, sync the directory         clean             header             same
//	write meta: needs-log, with the start    either            header             clean or needs-log, the same commits
//	sync the database file                   needs-log         header             needs-log, an empty log
//	first group                              needs-log         group              as in the table above
//
// No group is written before the meta block is durable, and each carries the newest durable meta write. So a group beside a
// clean file says for sure which of the two is older: if its meta write is above the file's, the file was restored from an
// older copy, which is an error; else the file was made clean after the group, and the log is ignored.
//
// # Recovery
//
// Input: the meta block's log start {epoch, serial, place, offset, chain, places}, its write number W and the newest commit
// X that it covers. All reads are of whole segments. An I/O error ends recovery as an error; it is not a tear.
//
//  1. Read the header block of every segment. A header that is invalid, or of another database id, makes its segment
//     unknown.
//  2. The start segment must be there, with its epoch and serial at its place; else ErrLogMissing (no such file),
//     ErrLogMismatch (another log, an older or a newer one) or CorruptError (its header is damaged). A header that
//     carries a meta write above W says that the meta block that was found is not the newest: ErrLogMismatch and
//     CorruptError both. Position P := the start.
//  3. At P in segment S with chain C:
//     a. If a header names {S, P's offset, C} as its predecessor's end with carry 0, P := the first log block
//     behind that header. A link wins over whatever lies at P: S was abandoned there. Two such headers are damage.
//     P stands for two offsets, here and in b: right behind the last group, and the log block behind that.
//     b. Else, if a valid group starts at P (group.go says when), and all of its pieces are there, it is accepted:
//     its frames above X go to the index, P := its end, C := its chain. A meta write
//     above W is as in 2. More than DeltasMax deltas of a page in a row are damage.
//     c. Else the log ends at P's log block.
//  4. Look ahead, so that neither rot nor a lost write is taken for a tear. Group headers are searched at every log block
//     of S from P on, and of every segment that was not followed. One that is valid alone proves damage if its durable
//     is above the last commit that was accepted (CorruptError at P), or its meta write above W. Groups of earlier
//     uses, and of forks that were left behind, only say what was true then. If no group was accepted, the groups
//     before P in S must lead to C. The file must have the places that the last accepted group, or the start, says.
//     What vanishes without a proof was in the newest sync: the newest group, or, where relaxed commits were written
//     without a sync, the groups since the sync before. Recovery.Discarded tells that something lies there.
//  5. Unproven is what follows the last commit that an accepted group, or the meta block, calls durable: normally the
//     newest group. Its log blocks, with the header blocks of segments that begin in it, are written again, from the
//     bytes that were checked, at the same place, and synced, before anything that was recovered is served. They are
//     the same bytes, so a cut in the middle leaves each sector as it was or as it should be; recovery then finds
//     the same groups or, if the disk had never got them, stops earlier, at a state that nobody was promised more
//     than. The meta block is written again likewise by the pager.
//  6. The first write of this open starts a new segment with a fresh epoch behind P. What lies behind P in S is never
//     written again while S is in use, so that a torn group stays torn.
//
// A read-only open does steps 1 to 4 and writes nothing: what it serves of the unproven part, a power cut may yet take.
//
//	recovery step             written                   after a cut behind this row
//	scan, look ahead          nothing                   the same input
//	rewrite unproven          the same bytes, unsynced  the same groups, or a shorter unpromised tail
//	sync                      the same bytes            the same groups, now durable
//	serve reads               -                         the same groups
//	first commit              new segment               as in the first table, behind P
package wal
