package cmd

// TODO: tests count.
