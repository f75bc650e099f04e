// Package enumerate goes through every point of short workloads: each wait of an operation and each I/O. There it steps early,
// gives up, cancels, fails in each way, and cuts the power with each set of survivors, once and then again within the recovery.
// Everything it does is a plan of its own, made of the workload's, so that what fails can be replayed and made smaller like a
// plan that was drawn.
package enumerate
