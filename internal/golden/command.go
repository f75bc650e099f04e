package golden

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Arg is one word of a command line.
type Arg struct {
	Key   string // empty for a bare word
	Value string // unquoted
}

// Command is one block of a file, without its output.
type Command struct {
	Name  string // the first word
	Args  []Arg  // the other words, in order
	Input string // the lines between the command and the separator; each ends with a newline
	Pos   string // file:line of the command, for messages
}

// Words returns the arguments without a key, in order.
func (c Command) Words() []string {
	var words []string
	for _, a := range c.Args {
		if a.Key == "" {
			words = append(words, a.Value)
		}
	}
	return words
}

// Lookup returns the value of the argument key, and whether there is one.
func (c Command) Lookup(key string) (string, bool) {
	for _, a := range c.Args {
		if a.Key == key && key != "" {
			return a.Value, true
		}
	}
	return "", false
}

// String returns the value of the argument key and ends the test if there is none.
func (c Command) String(t *testing.T, key string) string {
	t.Helper()
	v, ok := c.Lookup(key)
	if !ok {
		t.Fatalf("%s: %s has no argument %s", c.Pos, c.Name, key)
	}
	return v
}

// StringOr returns the value of the argument key, or absent if there is none.
func (c Command) StringOr(key, absent string) string {
	if v, ok := c.Lookup(key); ok {
		return v
	}
	return absent
}

// Int returns the value of the argument key as an integer, in any base that Go writes, and ends the test if there is
// none.
func (c Command) Int(t *testing.T, key string) int {
	t.Helper()
	v, err := strconv.ParseInt(c.String(t, key), 0, strconv.IntSize)
	if err != nil {
		t.Fatalf("%s: argument %s: %v", c.Pos, key, err)
	}
	return int(v)
}

// IntOr is Int, or absent if there is no such argument.
func (c Command) IntOr(t *testing.T, key string, absent int) int {
	t.Helper()
	if _, ok := c.Lookup(key); !ok {
		return absent
	}
	return c.Int(t, key)
}

// List returns the value of the argument key cut at its commas, and nil for an empty value or no such argument.
func (c Command) List(key string) []string {
	v, _ := c.Lookup(key)
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// parseCommand splits a command line into words at spaces outside of quotes.
func parseCommand(line string) (Command, error) {
	var c Command
	rest := strings.TrimSpace(line)
	for rest != "" {
		arg, after, err := cutArg(rest)
		if err != nil {
			return Command{}, err
		}
		switch {
		case c.Name != "":
			if _, twice := c.Lookup(arg.Key); twice {
				return Command{}, fmt.Errorf("argument %s is there twice", arg.Key)
			}
			c.Args = append(c.Args, arg)
		case arg.Key != "":
			return Command{}, fmt.Errorf("argument %s without a command before it", arg.Key)
		default:
			c.Name = arg.Value
		}
		rest = strings.TrimLeft(after, " \t")
	}
	return c, nil
}

// cutArg takes the first word off s, which starts with none of the separators.
func cutArg(s string) (arg Arg, after string, err error) {
	end := strings.IndexAny(s, " \t=\"")
	if end > 0 && s[end] == '=' {
		arg.Key, s = s[:end], s[end+1:]
	}
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return Arg{}, "", fmt.Errorf("quoted value without an end: %s", s)
		}
		after = s[len(quoted):]
		if after != "" && after[0] != ' ' && after[0] != '\t' {
			return Arg{}, "", fmt.Errorf("no space behind the quoted value %s", quoted)
		}
		arg.Value, err = strconv.Unquote(quoted)
		return arg, after, err
	}
	end = strings.IndexAny(s, " \t")
	if end < 0 {
		end = len(s)
	}
	arg.Value = s[:end]
	return arg, s[end:], nil
}
