// Package pawltest helps a program that embeds pawl to test that it survives crashes itself.
//
// pawl keeps what it acknowledged. Whether the program around it does is another matter: it may do in two transactions what
// has to happen together, acknowledge a Relaxed commit, take ErrCommitUnknown for a success, keep something beside the
// database, or not be able to go on with work that it finds half done. None of that shows while the power is on.
//
// A Disk is a disk in memory whose power can be cut. The program under test opens its databases on it:
//
//	disk := pawltest.New(t)
//	app := openApp("app.pawl", &pawl.Options{IO: disk.IO()})
//	... // the program works, and says what it has done
//	disk.PowerCut()
//	app.Close() // ends its goroutines; the error says no more than that the power is gone
//	disk.Reopen()
//	app = openApp("app.pawl", &pawl.Options{IO: disk.IO()})
//	... // what it said it had done must be there
//
// EveryCut runs a scenario again and again, with the power cut at each place where the disk changes, and has each of several
// disks verified that the cut can leave. It finds what a cut at one chosen place does not, and is what most tests should use.
//
// # The power
//
//	on --PowerCut, CutAt comes due--> off --Reopen--> on, with what has survived
//	                                   \---Crashes--> one more disk, on, for each way in which it can survive
//
// What IO returns belongs to one run of the program: from New, or Reopen, to the next cut. At the cut every I/O of that run
// fails with ErrPowerCut, those under way and all later ones. Nothing of them reaches what is reopened, whatever goroutines of
// the old run still do. Operations of pawl that wait return with an error, and Close of an old database ends: it holds no lock
// on the new run. To open a database on an IO of an old run, or while the power is off, is an error too.
//
// # What survives
//
// What was synced survives. Of what was written, truncated, created, linked, renamed or removed since, any part may: each
// sector of 512 bytes, each change of a size and of a name by itself, in any combination. A write that is under way at a cut by
// CutAt may leave any of its sectors. Options.Survivors chooses what Reopen takes; Crashes goes through them.
//
// What is drawn is drawn from a seed, always the same unless Options.Seed or the environment variable PAWLTEST_SEED says
// otherwise: a number, or "random". A test that fails logs the seed, where the power was cut, and what survived. If the program
// does its I/O in one order, as it does with one goroutine, a run with the same seed is the same run.
//
// # Limits
//
//   - Only I/O through Disk.IO is on the disk. Files that the program keeps elsewhere, and what it has sent to others, do not
//     know of the cut; what it keeps in memory is for the test to throw away.
//   - The clock is the system's, so a Relaxed commit is synced after Options.SyncInterval of pawl, by another goroutine. A test
//     that must not depend on that sets it to an hour, or runs in a bubble of testing/synctest, where time stands still.
//   - A sector is whole or not there: no bytes within it are torn. A sector that was written twice since the last sync survives
//     as it was last, or as it was synced. The disk does not lie: a sync that succeeds is kept.
//   - I/Os are carried out one after the other. It is no place to measure speed.
//   - pawl itself is tested elsewhere, by a simulator that also controls the order of its I/O and tries disks that lie.
package pawltest
