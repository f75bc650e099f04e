package enumerate

import (
	"fmt"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// logs are workloads about the log's file.
func logs() []Workload {
	some := write(puts(0, 0, 30, 60))
	torn := onward(merges(workload("a checkpoint behind relaxed commits that a cut has torn", before(some),
		killed(era(relaxed(puts(0, 0, 1, 20)), relaxed(puts(0, 9, 1, 70)), relaxed(puts(0, 19, 1, 110)), relaxed(puts(0, 5, 3, 100)), relaxed(puts(0, 22, 3, 100)))),
		killed(with(era(checkpoint(passive)), func(e *plan.Era) { e.Quiet = true })), era())))
	var list []Workload
	for n := range 5 { // the groups of the relaxed commits
		list = append(list, torn.images(1, "wal.flushState flushWrite", "write", n)...)
	}
	return append(list, []Workload{
		workload("two commits", era(writes(0, 2)...)),
		workload("relaxed commits and a sync", era(relaxed(puts(0, 0, 2, 20)), relaxed(puts(0, 2, 2, 20)), task(plan.Sync), relaxed(puts(0, 5, 1, 20)))),
		torn,
		workload("interval sync", with(clients(relaxed(puts(0, 0, 2, 20)), read(sleep(120))), func(e *plan.Era) { e.Relaxed = true })),
		wide(workload("segments switch and the log grows", era(write(puts(0, 0, 20, inWide)), write(puts(0, 200, 20, inWide)), write(puts(0, 400, 30, inWide))))),
		workload("segments are used again", inMemory(era(write(puts(0, 0, 100, inLeaf)), checkpoint(complete), write(puts(0, 0, 300, inLeaf)),
			checkpoint(complete), write(puts(0, 400, 300, inLeaf))))),
		workload("the segment of the log's start behind a reopen", killed(before(write(puts(0, 0, 60, ofOwnBlock)), checkpoint(complete), write(puts(0, 3, 1, 9)))),
			killed(with(inMemory(clients(read(one(plan.Get, 0, 3, 0, 0), sleep(5)), checkpoint(complete))), func(e *plan.Era) {
				c := &e.Clients[1] // the checkpoint is over, and the log in another segment, when the reader lets go
				c.Tasks = append(c.Tasks, write(puts(0, 0, 2, 20)), read(sleep(10)), write(puts(0, 100, 60, ofOwnBlock)))
			})), era()),
		merges(workload("the log is cut back", killed(before(write(puts(0, 0, 300, ofOwnBlock)), write(puts(0, 0, 300, inLeaf)))),
			era(checkpoint(truncate), write(puts(0, 0, 1, 30)), checkpoint(truncate), write(puts(0, 1, 1, 30)), checkpoint(truncate)))).
			meets(cover.Waited, "wal.Trim"),
		workload("the log is cut back beside commits", killed(before(write(puts(0, 0, 300, ofOwnBlock)), write(puts(0, 0, 200, inLeaf)), checkpoint(complete), write(puts(0, 3, 1, 9)))),
			killed(inMemory(clients(checkpoint(truncate), write(puts(0, 1, 1, 20)), write(puts(0, 2, 1, 20))))), era(checkpoint(truncate))).
			meets(cover.Waited, "wal.Trim"),
		workload("commits are queued for more than the log has room for", before(write(puts(0, 0, 200, inLeaf))),
			with(inMemory(clients(read(one(plan.Scan, 0, 0, 200, 0)), task(plan.Sync), task(plan.Sync), task(plan.Sync), task(plan.Sync))), func(e *plan.Era) {
				for i := range e.Clients { // all pages are in memory, and each begins when the one before has queued its commit
					e.Clients[i].Tasks = append(e.Clients[i].Tasks, read(sleep(1)), write(puts(0, 0, 200, inLeaf)))
				}
			})),
		workload("the log grows behind one who has given up", clients(write(puts(0, 0, 20, ofOwnBlock)), write(puts(0, 1, 1, 9)))).
			struck(0, "wal.reserveState reserveZero", "write", 0, plan.Fault{Kind: plan.Stuck, Arg: 40}).
			acted(0, "wal.reserveState reserveZero", 0, plan.AbandonLate).meets(cover.Waited, "wal.reserveState reserveTurn"),
		wide(workload("a commit with frames over segments", era(write(puts(0, 0, 60, inWide))))),
	}...)
}

func onward(w Workload) Workload {
	w.Onward = true
	return w
}

// inMemory gives an era a cache that holds all of it, so that the log gets every page, and not references to what was written ahead.
func inMemory(e plan.Era) plan.Era {
	e.CacheSize = large
	return e
}

// checkpoints are workloads about the database file.
func checkpoints() []Workload {
	some := write(puts(0, 0, 60, 100), create(1), puts(1, 0, 30, 100))
	more := write(puts(0, 30, 20, 90), run(plan.Delete, 0, 0, 9, 0))
	return []Workload{
		workload("checkpoint into scattered blocks", before(write(puts(0, 0, 160, ofOwnBlock)), checkpoint(complete), write(every(8, plan.Modify, 0, 0, 160))),
			with(era(write(every(8, plan.Modify, 0, 4, 160)), checkpoint(truncate)), func(e *plan.Era) { e.CacheSize = large })),
		workload("shrinking of a clean file", before(write(puts(0, 0, 80, ofOwnBlock)), write(one(plan.DeleteRange, 0, 0, 70, 0))), era(checkpoint(truncate))),
		workload("passive checkpoint", before(some), era(more, checkpoint(passive), write(puts(0, 1, 1, 9)))),
		workload("complete checkpoint", before(some), era(relaxed(puts(0, 30, 20, 90)), checkpoint(complete))),
		workload("truncating checkpoint", before(some), era(more, checkpoint(truncate), write(puts(0, 1, 1, 9)), checkpoint(truncate))),
		workload("shrinking", before(write(puts(0, 0, 80, ofOwnBlock)), checkpoint(truncate), write(puts(1000, 0, 4, 20))),
			era(write(one(plan.DeleteRange, 0, 5, 70, 0)), checkpoint(truncate), checkpoint(truncate), write(puts(0, 5, 1, 10)))),
		workload("checkpoint beside a reader", before(some), with(clients(read(one(plan.Scan, 0, 0, 5, 0), pause(60), one(plan.Scan, 0, 0, 9, 0)), more),
			func(e *plan.Era) {
				e.Clients[1].Tasks = append(e.Clients[1].Tasks, checkpoint(complete), more, checkpoint(truncate))
			})),
		workload("two checkpoints at a time", before(some), with(clients(more, write(puts(0, 80, 1, 30))), func(e *plan.Era) {
			e.Clients[0].Tasks = append(e.Clients[0].Tasks, checkpoint(complete))
			e.Clients[1].Tasks = append(e.Clients[1].Tasks, checkpoint(truncate), write(puts(0, 90, 30, 100)))
		})),
		wide(workload("checkpoint in the background", before(some), with(clients(write(puts(0, 0, 20, inWide)), write(puts(0, 0, 2, inWide))),
			func(e *plan.Era) { e.CheckpointBytes = 32 << 10 }))),
		wide(workload("a writer waits for a checkpoint", with(era(write(puts(0, 0, 20, inWide)), write(puts(0, 0, 20, inWide)), write(puts(0, 0, 2, 30))),
			func(e *plan.Era) { e.CheckpointBytes = 16 << 10 }))),
		workload("a sync fails between two writes ahead of a commit", before(some), with(clients(write(puts(0, 0, 3, 60))), func(e *plan.Era) {
			ahead := write(one(plan.Put, 0, 3, 1, 3000), sleep(10), one(plan.Put, 0, 4, 1, 9000))
			e.Clients[0].Tasks = append(e.Clients[0].Tasks, ahead)
			e.Clients = append(e.Clients, plan.Client{Tasks: []plan.Task{read(sleep(5)), checkpoint(passive)}})
			e.End = plan.EndCut
		}), era()).struck(1, "pager.attemptState attemptSync", "sync", 0, plan.Fault{Kind: plan.FailSync}).fails(), // which drops the first value
		workload("large values in a checkpoint", before(some), era(write(one(plan.Put, 0, 3, 1, 3000), one(plan.Put, 0, 4, 1, 9000)), checkpoint(passive),
			write(one(plan.Delete, 0, 3, 1, 0)), checkpoint(complete))),
		merges(workload("many pages in a checkpoint", era(write(puts(0, 0, 60, ofOwnBlock)), write(puts(0, 100, 60, ofOwnBlock)), write(puts(0, 200, 60, ofOwnBlock)),
			checkpoint(complete), write(puts(0, 0, 60, inLeaf)), checkpoint(complete)))),
	}
}

func merges(w Workload) Workload {
	w.Merges = true
	return w
}

// opens are workloads about opening and closing.
func opens() []Workload {
	some := write(puts(0, 0, 30, 60))
	return []Workload{
		workload("new file", era()),
		workload("clean file", before(some), era()),
		workload("clean file, read only", before(some), with(era(read(one(plan.Scan, 0, 0, 5, 0))), readOnly)),
		workload("recovery of what a failed sync of a meta block has left", killed(before(some, checkpoint(complete))),
			era(write(puts(0, 9, 3, 60)), checkpoint(complete), write(puts(0, 3, 3, 60)))).
			struck(0, "pager.attemptState attemptMeta", "sync", 0, plan.Fault{Kind: plan.Fail}).fails(),
		workload("recovery", killed(before(some, write(puts(0, 7, 3, 60)))), era(read(one(plan.Scan, 0, 0, 5, 0)))),
		wide(workload("recovery of a long log", killed(before(write(puts(0, 0, 50, inWide)), write(puts(0, 0, 50, inWide)))), era(some))),
		merges(workload("recovery, read only", killed(before(some, write(puts(0, 7, 3, 60)))), with(era(read(one(plan.Scan, 0, 0, 5, 0)), task(plan.Copy)), readOnly))),
		workload("recovery of large values", killed(before(some, write(one(plan.Put, 0, 3, 1, 9000)))), era(write(one(plan.Put, 0, 4, 1, 9000)))),
		workload("a file whose name is lost, read only", era(write(puts(0, 0, 1, 9))), with(era(), readOnly)).
			struck(0, "pager.createState createDir", "syncdir", 0, plan.Fault{Kind: plan.Fail}). // the next one is that of the log's name
			acted(0, "pager.commitState commitBegin", 0, plan.CutThere),
		workload("a commit that was missed comes back", killed(before(write(puts(0, 0, 2, 60)), write(puts(0, 7, 2, 60)))), with(era(read(one(plan.Get, 0, 0, 0, 0))), readOnly), era()).
			struck(1, "wal.recoverState recoverLoad", "read", 1, plan.Fault{Kind: plan.FlipIO, Arg: 8 * (4096 + 100)}).returns(),
		workload("a second open", before(some), era(task(plan.OpenAgain), some)),
		workload("close while transactions are open", before(some), with(clients(read(pause(9), one(plan.Scan, 0, 0, 5, 0)), write(puts(0, 0, 2, 60), pause(9))), closeWith)),
		workload("close while the interval's sync is under way", with(clients(plan.Task{Kind: plan.Write, Relaxed: true, Ops: join([][]plan.Op{puts(0, 0, 2, 60)})},
			read(sleep(50))), func(e *plan.Era) { e.Relaxed = true })),
		wide(workload("close while the background works", with(clients(write(puts(0, 0, 20, inWide))), func(e *plan.Era) { e.CheckpointBytes = 16 << 10 }))),
	}
}

func readOnly(e *plan.Era) { e.ReadOnly = true }

func closeWith(e *plan.Era) { e.CloseWith = true }

// reads are workloads that change nothing.
func reads() []Workload {
	tall := write(puts(0, 0, 120, 60), create(1), puts(1, 0, 30, 60), one(plan.Put, 1, 40, 1, 3000))
	long := write(puts(0, 0, 70, ofOwnBlock))
	return []Workload{
		workload("get of cold pages", before(tall), era(read(one(plan.Get, 0, 50, 0, 0), one(plan.Has, 1, 7, 0, 0), one(plan.Get, 0, 9999, 0, 0),
			one(plan.GetNow, 0, 20, 0, 0)))),
		merges(workload("get of pages in the log", before(), era(tall, read(one(plan.Get, 0, 50, 0, 0), one(plan.GetMany, 0, 3, 12, 0))))),
		merges(workload("a page in the log is damaged", before(), era(tall, read(one(plan.Get, 0, 50, 0, 0), one(plan.GetMany, 0, 3, 12, 0))))).
			struck(1, "pager.getState getFrame", "read", 0, plan.Fault{Kind: plan.FlipIO, Arg: 8 * 300}).fails(),
		wide(workload("a read of a delta that is given up, while its segment is used again",
			before(write(create(1), puts(1, 0, 300, inWide), create(2), puts(2, 0, 2, inWide))),
			with(era(write(puts(2, 5, 1, 30)), read(often(1, 0, 300)), read(one(plan.Get, 2, 0, 0, 0)), write(puts(0, 100, 40, inWide)),
				checkpoint(complete), write(puts(0, 200, 140, inWide)), checkpoint(complete), write(puts(0, 400, 30, inWide))), func(e *plan.Era) {
				e.Quiet = true // it is long, and each point of it is one of others too
			}))).struck(1, "pager.getState getDeltas", "read", 0, plan.Fault{Kind: plan.Stuck, Arg: 1}).acted(1, "pager.getState getDeltas", 0, plan.AbandonLate),
		workload("scan", before(tall), era(read(one(plan.Scan, 0, 0, 40, 0), one(plan.ScanBack, 0, 90, 40, 0), one(plan.Scan, 1, 20, 15, 0)))),
		workload("ends of a bucket", before(tall), era(read(one(plan.First, 0, 0, 0, 0), one(plan.Last, 1, 0, 0, 0)))),
		merges(workload("many keys at a time", before(tall), era(read(one(plan.GetMany, 0, 5, 16, 0), one(plan.GetMany, 1, 35, 9, 0))))),
		workload("check", before(tall), era(task(plan.Check))),
		merges(workload("copy", before(tall), era(write(puts(0, 20, 9, 70)), task(plan.Copy)))),
		workload("copy that looks for a map node again", before(tall), era(write(puts(0, 20, 9, 70)), task(plan.Copy))).
			struck(1, "pager.copyState copyLook", "read", 5, plan.Fault{Kind: plan.Fail}).meets(cover.Waited, "pager.copyState copyVerify"),
		workload("copy of a damaged file", before(tall), era(write(puts(0, 20, 9, 70)), task(plan.Copy))).
			struck(1, "pager.copyState copyRead", "read", 0, plan.Fault{Kind: plan.FlipIO, Arg: 3}).meets(cover.Waited, "pager.copyState copyBlame").fails(),
		merges(workload("copy of what the log has", before(long), era(write(puts(0, 0, 40, ofOwnBlock)), write(puts(0, 500, 40, ofOwnBlock)), task(plan.Copy)))),
		workload("copy with nothing in the cache", with(era(write(one(plan.Put, 0, 0, 1, 9)), checkpoint(complete), write(one(plan.Put, 0, 1, 1, 90)),
			task(plan.Copy)), func(e *plan.Era) { e.CacheSize = 1 })),
		workload("copy to a writer", before(tall), era(write(puts(0, 20, 9, 70)), task(plan.WriteTo))),
		workload("copy beside writers", before(tall), clients(task(plan.Copy), write(puts(0, 200, 30, 100)))),
		workload("compact", before(tall), era(task(plan.Compact))),
		workload("a reader that holds too much", before(tall), with(clients(read(one(plan.Scan, 0, 0, 5, 0), sleep(5), one(plan.Scan, 0, 50, 9, 0)),
			write(puts(0, 0, 50, ofOwnBlock))), func(e *plan.Era) {
			e.MaxHeldBytes, e.CheckpointBytes = 16<<10, 16<<10
			e.Clients[1].Tasks = append(e.Clients[1].Tasks, write(puts(0, 0, 50, 140)), write(puts(0, 0, 50, 130)))
		})).fails(),
	}
}

// crowds are workloads of several clients.
func crowds() []Workload {
	some := write(puts(0, 0, 30, 60))
	return []Workload{
		workload("first writers of a clean file", before(some), clients(write(puts(0, 0, 1, 9)), write(puts(0, 1, 1, 9)), write(puts(0, 2, 1, 9)))),
		workload("group commit", before(some), with(clients(write(puts(0, 0, 1, 9)), write(puts(0, 1, 1, 9)), write(puts(0, 2, 1, 9)), relaxed(puts(0, 3, 1, 9))),
			func(e *plan.Era) {
				for i := range e.Clients {
					e.Clients[i].Tasks = append(e.Clients[i].Tasks, write(puts(0, 5+i, 1, 9)))
				}
			})),
		workload("commits given up", before(some), clients(write(puts(0, 0, 1, 9)), write(puts(0, 1, 1, 9)), write(puts(0, 2, 1, 9)))).
			acted(1, "pager.commitState commitWait", 0, plan.Abandon).acted(1, "pager.commitState commitWait", 0, plan.AbandonLate),
		crowded(9).struck(1, "wal.flushState flushWrite", "write", 0, plan.Fault{Kind: plan.Stuck, Arg: 400}).meets(cover.Waited, "pager.commitState commitDrain"),
		crowded(2).acted(1, "pager.commitState commitWait", 0, plan.Abandon).meets(cover.Waited, "pager.commitState commitDrain"), // which leads then
		workload("sync beside commits", before(some), clients(relaxed(puts(0, 0, 1, 9)), task(plan.Sync), relaxed(puts(0, 1, 1, 9)), task(plan.Sync))),
		workload("writers and the length of the file", before(some), clients(write(one(plan.Put, 0, 5, 1, 60_000)), write(puts(0, 50, 20, ofOwnBlock)), checkpoint(truncate))),
		wide(workload("both files grow for two", before(some), clients(write(puts(0, 0, 30, inWide)), write(puts(0, 1000, 30, inWide)), write(puts(0, 3000, 30, inWide))))),
		workload("close behind a writer", before(some), with(clients(write(puts(0, 0, 30, 60)), checkpoint(complete)), closeWith)),
		workload("close before a writer that waits", before(some), with(clients(read(pause(6)), write(puts(0, 0, 3, 60), pause(20)), write(puts(0, 3, 1, 60))),
			func(e *plan.Era) {
				e.Clients[1].Tasks[0].Leave = true
				e.Clients[0].Tasks = append(e.Clients[0].Tasks, task(plan.Close))
			})).fails(),
		workload("two closes", before(some), with(clients(write(puts(0, 0, 3, 60), pause(9)), task(plan.Close)), closeWith)),
		workload("a commit is given up within the flush", before(some), with(clients(write(puts(0, 0, 1, 9))), func(e *plan.Era) {
			again := write(puts(0, 0, 1, 9))
			again.GiveUp = 1 // the log is there, and the page is in the cache
			e.CacheSize = large
			e.Clients[0].Tasks = append(e.Clients[0].Tasks, again, read(sleep(1)))
		})).meets(cover.Abandoned, "wal.flushState flushWrite"),
		workload("a disk that is full", before(some), with(era(write(puts(0, 0, 30, ofOwnBlock)), write(puts(0, 0, 2, 9)), checkpoint(truncate)),
			func(e *plan.Era) { e.Capacity = 140 << 10 })).fails(),
	}
}

// crowded is a workload of writers whose commits change as many pages as may wait for the log's write, so that each has to wait for the
// one before. Somebody else looks at the memory that this takes.
func crowded(writers int) Workload {
	leaves := 25
	return wide(workload(fmt.Sprintf("%d commits and room in the cache for one", writers), before(write(puts(0, 0, 3*leaves, inWide)), checkpoint(complete)),
		with(clients(read(one(plan.Scan, 0, 0, 3*leaves, 0))), func(e *plan.Era) {
			change := write(every(3, plan.Modify, 0, 0, 3*leaves))
			for range writers { // all pages are in memory, and each begins when the one before has queued its commit
				e.Clients = append(e.Clients, plan.Client{Tasks: []plan.Task{task(plan.Sync), read(sleep(1)), change}})
			}
			look := plan.Client{Tasks: []plan.Task{read(sleep(1))}}
			for range 5 {
				look.Tasks = append(look.Tasks, read(sleep(1)))
			}
			e.Clients = append(e.Clients, look)
		})))
}
