package work

import (
	"fmt"

	"github.com/pawldb/pawl/bench/internal/engines"
)

// ownWorkloads are of pawl alone: what a longer log saves, and what the collector costs with a large cache.
var ownWorkloads = func() (all []Workload) {
	for _, mib := range []int64{64, 256, 1024} {
		all = append(all, Workload{
			Name: fmt.Sprintf("log-%d", mib), Unit: "keys", Latency: "a transaction", Durable: true,
			Only: []string{engines.Own}, LogBytes: mib << 20,
			What: fmt.Sprintf("batch-random with a checkpoint for each %d MiB of log", mib),
			Run:  batchRandom,
		})
	}
	return append(all, Workload{
		Name: "large-cache", Unit: "keys", Latency: "a transaction", Data: Filled, Durable: true,
		Only: []string{engines.Own}, Cache: 4 << 30, Large: true,
		What: "overwrite-100 with 4 GiB of cache: what the collector costs",
		Run:  func(w *World) (Result, error) { return overwrite(w, 100, false) },
	})
}()
