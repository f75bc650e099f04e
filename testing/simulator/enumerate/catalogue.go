package enumerate

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Workload is a short plan whose every point is gone through.
type Workload struct {
	Name   string
	Plan   plan.Plan
	Merges bool // I/Os are joined, or begun, while others of its one client are under way: what they are depends on waits
	Onward bool // its later eras come behind power cuts, too
	order  []int
	aims   []aim    // what must happen in it
	lost   []string // what could not be put where it belongs
	placed int      // faults and acts that were
}

// Catalogue is all workloads. Together they enter every state of every machine.
func Catalogue() []Workload {
	var list []Workload
	for _, part := range [][]Workload{
		trees(), values(), buckets(), transactions(), logs(), checkpoints(), opens(), reads(), crowds(), found(),
	} {
		list = append(list, part...)
	}
	for i := range list {
		list[i].order = []int{i}
	}
	return list
}

//go:embed found/*.json
var foundPlans embed.FS

// mergingPlans are those of found whose I/Os are joined.
var mergingPlans = map[string]bool{"btree-putState-putIDs": true} // those of a checkpoint are

// found are plans that lead to states which it is hard to think of a workload for: simulator -find has drawn them and made them
// small. Each is named by its state.
func found() (list []Workload) {
	names, err := fs.Glob(foundPlans, "found/*.json")
	if err != nil {
		panic(fmt.Sprintf("enumerate: %v", err))
	}
	for _, name := range names {
		text, err := foundPlans.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("enumerate: %s: %v", name, err))
		}
		state := strings.TrimSuffix(path.Base(name), ".json")
		w := Workload{Name: "found: " + state, Merges: mergingPlans[state]}
		if err := json.Unmarshal(text, &w.Plan); err != nil {
			panic(fmt.Sprintf("enumerate: %s: %v", name, err))
		}
		list = append(list, w.meets(cover.Waited, stateOfFound(state)))
	}
	return list
}

// The sizes that workloads have unless they say otherwise: pages as small as can be make high trees out of little, and a cache
// of as few pages as can be reads all of it again.
const (
	pageSize   = 512
	smallest   = 1
	large      = 4 << 20
	keyCount   = 1 << 20
	inLeaf     = 75   // bytes of a value of which three fit on a page
	ofOwnBlock = 150  // bytes of a value that lies in an extent of its own, one block long
	inWide     = 4000 // bytes of a value of which three fit on a page of a wide workload
)

// wide gives a workload large pages, which make much log and long files out of little.
func wide(w Workload) Workload {
	w.Plan.PageSize = 16 << 10
	return w
}

// workload makes one of eras.
func workload(name string, eras ...plan.Era) Workload {
	w := Workload{Name: name, Plan: plan.Plan{
		Seed: 1, Order: plan.Fifo, PageSize: pageSize, Keys: plan.PrefixKeys, KeyCount: keyCount, Eras: eras,
	}}
	id := 0
	for e := range eras {
		for c := range eras[e].Clients {
			for t := range eras[e].Clients[c].Tasks {
				for o := range eras[e].Clients[c].Tasks[t].Ops {
					id++
					eras[e].Clients[c].Tasks[t].Ops[o].ID = id
				}
			}
		}
	}
	return w
}

// era is one client's tasks with a small cache, ended by a close. Nothing happens in the background.
func era(tasks ...plan.Task) plan.Era {
	return plan.Era{
		CacheSize: smallest, CheckpointBytes: large, NoBackground: true, Clients: []plan.Client{{Tasks: tasks}}, End: plan.EndClose,
	}
}

// before is an era in which nothing is to go wrong.
func before(tasks ...plan.Task) plan.Era {
	e := era(tasks...)
	e.CacheSize, e.Quiet = large, true
	return e
}

// clients is an era of several clients, one task each, with background work.
func clients(tasks ...plan.Task) plan.Era {
	e := era()
	e.NoBackground, e.Clients = false, nil
	for _, t := range tasks {
		e.Clients = append(e.Clients, plan.Client{Tasks: []plan.Task{t}})
	}
	return e
}

// with changes an era.
func with(e plan.Era, change func(*plan.Era)) plan.Era {
	change(&e)
	return e
}

// killed is an era whose process dies when its clients have ended.
func killed(e plan.Era) plan.Era {
	e.End = plan.EndKill
	return e
}

func write(ops ...[]plan.Op) plan.Task { return plan.Task{Kind: plan.Write, Ops: join(ops)} }

func relaxed(ops ...[]plan.Op) plan.Task {
	return plan.Task{Kind: plan.Write, Relaxed: true, Ops: join(ops)}
}

func read(ops ...[]plan.Op) plan.Task { return plan.Task{Kind: plan.Read, Ops: join(ops)} }

func task(kind plan.TaskKind) plan.Task { return plan.Task{Kind: kind} }

func checkpoint(mode int) plan.Task { return plan.Task{Kind: plan.Checkpoint, Mode: mode} }

// The forms of checkpoint, as plans number them.
const (
	passive = iota
	complete
	truncate
)

func join(parts [][]plan.Op) (ops []plan.Op) {
	for _, p := range parts {
		ops = append(ops, p...)
	}
	return ops
}

// one is a single operation.
func one(kind plan.OpKind, bucket, key, to, size int) []plan.Op {
	return []plan.Op{{Kind: kind, Bucket: bucket, Key: key, To: to, Size: size}}
}

// puts sets n keys in a row.
func puts(bucket, from, n, size int) []plan.Op { return run(plan.Put, bucket, from, n, size) }

// run does the same with n keys in a row.
func run(kind plan.OpKind, bucket, from, n, size int) (ops []plan.Op) {
	for i := range n {
		ops = append(ops, one(kind, bucket, from+i, 1, size)...)
	}
	return ops
}

// often gets each third key again and again, so that the cache keeps its page and lets go of others.
func often(bucket, from, to int) (ops []plan.Op) {
	for key := from; key < to; key += 3 {
		for range 4 {
			ops = append(ops, one(plan.Get, bucket, key, 0, 0)...)
		}
	}
	return ops
}

// every does the same with each n-th key.
func every(n int, kind plan.OpKind, bucket, from, to int) (ops []plan.Op) {
	for key := from; key < to; key += n {
		ops = append(ops, one(kind, bucket, key, 1, 0)...)
	}
	return ops
}

// filledBetween sets n keys, and does the rest behind each of them: as pages come one at a time, some limit of the transaction's memory
// is met between any two of these.
func filledBetween(n int, rest ...[]plan.Op) (ops []plan.Op) {
	for i := range n {
		ops = append(append(ops, one(plan.Put, 0, i, 1, inLeaf)...), join(rest)...)
	}
	return ops
}

func create(bucket int) []plan.Op { return one(plan.CreateBucket, bucket, 0, 0, 0) }

func do(kind plan.OpKind) []plan.Op { return one(kind, 0, 0, 0, 0) }

func pause(steps int) []plan.Op { return one(plan.Pause, 0, 0, steps, 0) }

// sleep is a pause until all others have ended, or sleep for longer: whatever they do, and however much, it comes behind it.
func sleep(ms int) []plan.Op { return one(plan.Sleep, 0, 0, ms, 0) }

// writes are transactions with one small change each.
func writes(from, n int) (tasks []plan.Task) {
	for i := range n {
		tasks = append(tasks, write(puts(0, from+i, 1, 20)))
	}
	return tasks
}
