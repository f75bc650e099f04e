// Command bench measures pawl next to other embedded stores: the same work, the same keys, every value verified as it
// is read, one process a run, rounds interleaved.
//
//	parent                          child, one a (workload, round, engine)
//	------                          --------------------------------------
//	what the machine does           open a store: an empty one, or the data set that was made before, or a copy of it
//	for each workload               fill it, if the workload wants that (not measured)
//	  make shared data sets         measure
//	  for each round   <---------+  close, open again, verify every key
//	    raw figure of the disk   |  print
//	    for each engine  --------|-->
//	      <--- result as JSON    |
//	    keep the round ----------+
//	medians over rounds, ratios within rounds, verdicts
//
// Stores are in internal/engines, workloads in internal/work, what is asked of the machine in internal/machine, tables,
// targets and charts in internal/report. Here are the command line, the processes, and what is kept for a resumption.
package main
