package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	stdio "io"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// coding is how keys and values look on the command line.
type coding struct{ hex, base64 bool }

// add adds the flags.
func (c *coding) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.hex, "hex", false, "keys and values are in hexadecimal")
	cmd.Flags().BoolVar(&c.base64, "base64", false, "keys and values are in base64")
	cmd.MarkFlagsMutuallyExclusive("hex", "base64")
}

// decode returns the bytes that an argument means.
func (c *coding) decode(arg string) ([]byte, error) {
	var b []byte
	var err error
	switch {
	case c.hex:
		b, err = hex.DecodeString(arg)
	case c.base64:
		b, err = base64.StdEncoding.DecodeString(arg)
	default:
		return []byte(arg), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", errUsage, arg, err)
	}
	return b, nil
}

// value returns the value that an argument means; "-" is what stdin has.
func (c *coding) value(cmd *cobra.Command, arg string) ([]byte, error) {
	if arg != "-" {
		return c.decode(arg)
	}
	b, err := stdio.ReadAll(interruptible(cmd.Context(), cmd.InOrStdin()))
	if err != nil || !c.hex && !c.base64 {
		return b, err
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return c.decode(string(b))
}

// encode returns bytes as the flags say; without one as text, quoted where that would not be plain.
func (c *coding) encode(b []byte) string {
	switch {
	case c.hex:
		return hex.EncodeToString(b)
	case c.base64:
		return base64.StdEncoding.EncodeToString(b)
	case plain(b):
		return string(b)
	}
	return strconv.Quote(string(b))
}

// plain reports whether text can be shown on a line as it is.
func plain(b []byte) bool {
	if !utf8.Valid(b) || len(b) > 0 && b[0] == '"' {
		return false
	}
	for _, r := range string(b) {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}
