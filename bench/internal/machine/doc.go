// Package machine asks the machine: what the disk and the memory can do at best, what a device has written, what a
// process has used; and it confines a process to little memory. What a system can't tell is an error, or said to be
// unknown.
package machine
