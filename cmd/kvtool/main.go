// Kvtool looks into pawl databases and changes them from the command line. "kvtool demo" shows what it can do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// Exit codes, for scripts.
const (
	exitOther    = 1 // anything else
	exitUsage    = 2 // the command line is wrong
	exitNotFound = 3 // no such key, bucket or file
	exitLocked   = 4 // another process has the database open
	exitDamaged  = 5 // not a database, or a damaged one
)

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	signal.Ignore(syscall.SIGPIPE)
	root := newRoot()
	root.SetArgs(args)
	err := execute(ctx, root)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE): // whoever read the output has enough
	default:
		fmt.Fprintln(root.ErrOrStderr(), "kvtool: "+explain(err))
	}
	return exitCode(err)
}

// execute runs the command. What goes wrong before a command has begun is the command line's fault.
func execute(ctx context.Context, root *cobra.Command) error {
	began := false
	for _, cmd := range root.Commands() {
		if inner := cmd.RunE; inner != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				began = true
				return inner(cmd, args)
			}
		}
	}
	err := root.ExecuteContext(ctx)
	if err != nil && !began && !errors.Is(err, errUsage) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}

// newRoot returns the command with all others in it.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "kvtool",
		Short: "Look into pawl databases and change them",
		Long: `Kvtool looks into pawl databases and changes them.

Keys and values are text unless --hex or --base64 says otherwise. A bucket is named by its path from the root, with "/"
between names: --bucket users/by-name. The exit code is 0 for success, 2 for a wrong command line, 3 for a key, bucket or
file that is not there, 4 for a database that another process has open, 5 for damage, 1 for anything else.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(
		newDemo(), newInfo(), newGet(), newPut(), newDel(), newScan(), newBuckets(), newStats(), newCheck(),
		newLoad(), newDump(), newCheckpoint(), newCopy(), newCompact(), newVersion(),
	)
	return root
}

// exactArgs is cobra.ExactArgs with the names of what is wanted in its error.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return fmt.Errorf("%w: %s wants %v, %d arguments were given; see kvtool %s --help",
				errUsage, cmd.Name(), names, len(args), cmd.Name())
		}
		return nil
	}
}

// exitCode returns the code for an error.
func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage), errors.Is(err, pawl.ErrOptions):
		return exitUsage
	case errors.Is(err, pawl.ErrNotFound), errors.Is(err, pawl.ErrBucketNotFound), errors.Is(err, fs.ErrNotExist):
		return exitNotFound
	case errors.Is(err, pawl.ErrLocked):
		return exitLocked
	case errors.Is(err, pawl.ErrCorrupt), errors.Is(err, pawl.ErrNotDatabase), errors.Is(err, pawl.ErrVersion),
		errors.Is(err, pawl.ErrLogMissing), errors.Is(err, pawl.ErrLogMismatch):
		return exitDamaged
	}
	return exitOther
}

// explain adds what can be done about an error.
func explain(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, pawl.ErrLogMissing):
		text += "\nThe file with the same name and -wal behind holds the newest commits: put it back beside the database."
	case errors.Is(err, pawl.ErrLogMismatch):
		text += "\nThe log beside the database belongs to another file, or to an older state of this one. Move it away only" +
			" if you are sure that nothing in it is wanted."
	case errors.Is(err, context.Canceled):
		text = "interrupted: " + text
	case errors.Is(err, pawl.ErrLocked):
		text += "\nClose the program that has the database open, or wait with --lock-timeout."
	}
	return text
}
