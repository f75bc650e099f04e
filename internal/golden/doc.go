// Package golden runs data-driven tests: files of commands and of what each printed. Only tests import it.
//
// A file is a sequence of blocks:
//
//	# Comments say what the block is about.
//	command word key=value list=1,2,3 text="quoted, as in Go"
//	input lines, if the command takes any
//	----
//	the expected output, up to a blank line or the end of the file
//
// Output that has blank lines itself stands between doubled separators:
//
//	command
//	----
//	----
//	first paragraph
//
//	second paragraph
//	----
//	----
//
// The flag -update, as in "go test ./wal -update", rewrites the outputs and nothing else: comments, commands, input and
// blank lines stay byte for byte. Review the difference like code.
package golden
