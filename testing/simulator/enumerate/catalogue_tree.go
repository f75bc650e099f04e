package enumerate

import (
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// trees are workloads that change the form of trees.
func trees() []Workload {
	tall := write(puts(0, 0, 120, 60)) // three levels
	return []Workload{
		workload("first key", era(write(puts(0, 1, 1, 10)))),
		workload("leaf split", before(write(puts(0, 0, 5, 20))), era(write(puts(0, 5, 6, 20)))),
		workload("splits at each level", before(tall), era(write(puts(0, 1000, 30, 60)), write(one(plan.Put, 0, 7, 1, ofOwnBlock)))),
		workload("growth in the middle", before(tall), era(write(one(plan.Put, 0, 31, 1, ofOwnBlock), one(plan.Put, 0, 32, 1, ofOwnBlock),
			one(plan.Put, 0, 33, 1, ofOwnBlock)))),
		workload("merges and borrows", before(tall), era(write(run(plan.Delete, 0, 20, 25, 0)), write(run(plan.Delete, 0, 60, 9, 0)))),
		workload("root growth and collapse", before(write(puts(0, 0, 8, 20))), era(write(puts(0, 8, 20, 40)), write(run(plan.Delete, 0, 0, 28, 0)))),
		workload("range delete within a leaf", before(tall), era(write(one(plan.DeleteRange, 0, 3, 5, 0)))),
		workload("range delete across levels", before(tall), era(write(one(plan.DeleteRange, 0, 10, 100, 0)))),
		workload("range delete that leaves little of a leaf", before(tall), era(write(one(plan.DeleteRange, 0, 1, 30, 0)))),
		workload("range delete of a whole tree", before(tall), era(write(one(plan.DeleteRange, 0, 0, 200, 0)))),
		workload("cursor deletes", before(tall), era(write(one(plan.CursorDelete, 0, 40, 6, 0)))),
		workload("put if absent, modify", before(tall), era(write(one(plan.PutIfAbsent, 0, 500, 1, 30), one(plan.PutIfAbsent, 0, 5, 1, 30),
			one(plan.Modify, 0, 9, 1, 30)))),
	}
}

// values are workloads with values on blocks of their own.
func values() []Workload {
	big := write(puts(0, 0, 4, 3000), puts(0, 10, 10, 40), one(plan.Put, 0, 30, 1, 40_000))
	return []Workload{
		workload("large value in", before(write(puts(0, 0, 9, 40))), era(write(one(plan.Put, 0, 3, 1, 3000)))),
		workload("huge value in", era(write(one(plan.Put, 0, 3, 1, 90_000)))),
		workload("large value replaced by large", before(big), era(write(one(plan.Put, 0, 1, 1, 2500)))),
		workload("large value out", before(big), era(write(one(plan.Put, 0, 2, 1, 10), one(plan.Delete, 0, 3, 1, 0), one(plan.Delete, 0, 30, 1, 0)))),
		workload("range delete of large values", before(big), era(write(one(plan.DeleteRange, 0, 0, 31, 0)))),
		merges(workload("value of several extents", before(write(puts(0, 0, 3, 40))), era(write(one(plan.Put, 0, 1, 1, 1_100_000)),
			write(one(plan.PutReader, 0, 2, 1, 1_100_000)), read(one(plan.GetAppend, 0, 1, 0, 0), one(plan.ReadAt, 0, 1, 20, 1_080_000))))),
		workload("values of several extents out", before(write(create(1), one(plan.Put, 0, 1, 1, 1_100_000), one(plan.Put, 0, 2, 1, 1_100_000),
			one(plan.Put, 0, 3, 1, 1_100_000), one(plan.Put, 1, 3, 1, 1_100_000))), era(write(one(plan.Put, 0, 1, 1, 10), one(plan.Delete, 0, 2, 1, 0),
			one(plan.DeleteRange, 0, 3, 9, 0), one(plan.DropBucket, 1, 0, 0, 0)))),
		merges(workload("large values read", before(big), era(read(one(plan.Get, 0, 1, 0, 0), one(plan.ReadAt, 0, 30, 20, 30_000),
			one(plan.GetMany, 0, 0, 12, 0), one(plan.GetAppend, 0, 30, 0, 0))))),
	}
}

// buckets are workloads about buckets within buckets.
func buckets() []Workload {
	nested := write(create(1), create(3), create(6), puts(6, 0, 40, 40), puts(1, 0, 10, 40), one(plan.Put, 3, 50, 1, 5000))
	return []Workload{
		workload("bucket made", era(write(create(1), puts(1, 0, 3, 20)))),
		workload("bucket made in a bucket", before(nested), era(write(create(4), puts(4, 0, 3, 20)))),
		workload("buckets made along a path", before(nested), era(write(one(plan.CreateAll, 9, 0, 0, 0), one(plan.CreateAll, 6, 0, 0, 0), puts(9, 0, 3, 20)))),
		workload("bucket found again", before(nested), era(write(puts(6, 100, 2, 40), puts(1, 100, 60, inLeaf), puts(6, 110, 4, 40), one(plan.MoveBucket, 6, 0, 2, 0),
			puts(0, 0, 60, inLeaf), puts(2, 3, 4, 40), puts(6, 120, 2, 40)))),
		workload("bucket found again in what is out of the cache", before(nested, write(create(7), create(8))), era(write(run(plan.Sequence, 6, 0, 3, 0),
			one(plan.MoveBucket, 8, 0, 2, 0), puts(0, 0, 60, ofOwnBlock), one(plan.Put, 6, 500, 0, 30)))),
		ofShortKeys(workload("bucket moved between leaves", before(nested, write(create(2), puts(0, 0, 300, 60))), era(write(one(plan.MoveBucket, 6, 0, 5, 0))))),
		workload("bucket dropped", before(nested), era(write(one(plan.DropBucket, 6, 0, 0, 0)))),
		workload("buckets dropped with all below", before(nested), era(write(one(plan.DropBucket, 1, 0, 0, 0)))),
		workload("bucket moved", before(nested), era(write(one(plan.MoveBucket, 3, 0, 2, 0)))),
		workload("bucket moved to a deeper place", before(nested, write(create(2), puts(2, 0, 40, 100))),
			era(write(one(plan.MoveBucket, 6, 0, 5, 0)))),
		workload("sequences", before(nested), era(write(one(plan.SetSequence, 6, 0, 0, 7), one(plan.NextSequence, 6, 0, 0, 0),
			one(plan.Sequence, 1, 0, 0, 0)))),
		workload("figures of buckets", before(nested), era(read(one(plan.Stats, 0, 0, 0, 0), one(plan.Stats, 6, 0, 0, 0)))),
	}
}

func ofShortKeys(w Workload) Workload {
	w.Plan.Keys = plan.ShortKeys
	return w
}

// transactions are workloads about what a transaction can do as a whole.
func transactions() []Workload {
	some := write(puts(0, 0, 40, 60), create(1), puts(1, 0, 10, 60))
	return []Workload{
		workload("savepoint taken back", before(some), era(write(puts(0, 100, 3, 40), do(plan.Savepoint), puts(0, 110, 20, 60), create(2),
			one(plan.Put, 0, 5, 1, 3000), do(plan.Undo), puts(0, 130, 2, 20)))),
		workload("savepoint kept", before(some), era(write(do(plan.Savepoint), puts(0, 100, 5, 40), do(plan.Savepoint),
			run(plan.Delete, 0, 0, 9, 0), do(plan.Release), do(plan.Release)))),
		workload("rollback", before(some), era(plan.Task{Kind: plan.Write, Leave: true, Ops: puts(0, 50, 30, 60)}, write(puts(0, 0, 1, 9)))),
		workload("spill", era(write(puts(0, 0, 200, inLeaf), run(plan.Get, 0, 7, 3, 0), run(plan.Delete, 0, 30, 4, 0), puts(0, 9, 2, 30),
			one(plan.DeleteRange, 0, 40, 35, 0)))).
			meets(cover.Waited, "pager.roomState roomWrite"),
		workload("deletes in a transaction that spills", era(write(puts(0, 0, 170, ofOwnBlock), every(5, plan.Delete, 0, 0, 60)))).
			meets(cover.Waited, "pager.roomState roomWrite"),
		workload("range deletes in a transaction that spills", era(write(puts(0, 0, 170, ofOwnBlock), every(5, plan.DeleteRange, 0, 0, 60)))).
			meets(cover.Waited, "pager.roomState roomWrite"),
		workload("drop of what a transaction has spilled", era(write(create(1), puts(1, 0, 150, inLeaf), puts(0, 0, 100, inLeaf), one(plan.DropBucket, 1, 0, 0, 0)))).
			meets(cover.Waited, "pager.roomState roomWrite"),
		workload("sequence of a bucket that is out of the cache", before(write(create(1), create(3), puts(1, 0, 60, 100))), era(write(run(plan.Sequence, 3, 0, 3, 0),
			puts(0, 0, 60, ofOwnBlock), puts(1, 100, 60, ofOwnBlock), one(plan.SetSequence, 3, 0, 0, 9)))),
		workload("page ids of a free range", before(write(puts(0, 0, 80, ofOwnBlock)), write(one(plan.DeleteRange, 0, 5, 70, 0)), checkpoint(truncate)),
			era(write(puts(0, 500, 30, ofOwnBlock)))),
		workload("spill taken back", before(some), era(write(do(plan.Savepoint), puts(0, 0, 200, inLeaf), do(plan.Undo), puts(0, 3, 1, 30)))).
			meets(cover.Waited, "pager.roomState roomWrite"),
		workload("bucket dropped in a transaction that spills", before(write(create(1), puts(1, 0, 30, 100))),
			era(write(puts(0, 0, 200, inLeaf), one(plan.DropBucket, 1, 0, 0, 0)))).
			meets(cover.Waited, "pager.roomState roomWrite"),
		workload("buckets dropped while a transaction fills", era(write(filledBetween(150, create(1), one(plan.DropBucket, 1, 0, 0, 0))))).
			meets(cover.Waited, "btree.dropState dropRoom"),
		workload("nothing changed", before(some), era(write(), write(one(plan.Get, 0, 3, 0, 0)))),
	}
}
