// Command bench measures pawl next to other embedded stores: the same work, the same keys, every value verified as it
// is read, one process a run, rounds interleaved.
//
//	parent                          child, one a (workload, round, engine)
//	------                          --------------------------------------
//	for each workload               open an empty store
//	  for each round                fill it, if the workload wants it filled (not measured)
//	    raw disk figure             measure
//	    for each engine  ---------> close, open again, verify every key
//	      <--- result as JSON ----- print
//	median over rounds, ratios within rounds
//
// An engine is one file (engine_*.go), and so is a workload (workload_*.go). Each adds itself to a list.
package main
