package main

var load = Workload{
	Name: "load", Unit: "keys", Latency: "the transaction", Durable: true,
	What: "an empty store is filled in one transaction, ascending",
	Run:  func(w *world) (Result, error) { return insert(w, sortedOrder(w.keys), w.keys) },
}
