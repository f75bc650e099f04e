package golden

import (
	"fmt"
	"strings"
)

const (
	separator = "----\n"
	fence     = separator + separator
)

// block is one command of a file. The texts of all blocks (head, then the written output), then the file's tail, are
// the file, byte for byte.
type block struct {
	head string // comments, blank lines, command, input, and the separator's line
	cmd  Command
	want string // each line ends with a newline
}

// parse splits the text of a file into blocks, and what follows the last one.
func parse(name, text string) (blocks []block, tail string, err error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // what is behind the last newline: nothing
	at := 0
	for {
		start := at
		for at < len(lines) && isFiller(lines[at]) {
			at++
		}
		if at == len(lines) {
			return blocks, strings.Join(lines[start:], ""), nil
		}
		pos := fmt.Sprintf("%s:%d", name, at+1)
		cmd, err := parseCommand(lines[at])
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", pos, err)
		}
		cmd.Pos = pos
		at++
		input := at
		for at < len(lines) && lines[at] != separator {
			at++
		}
		if at == len(lines) {
			return nil, "", fmt.Errorf("%s: command without a line ---- behind it", pos)
		}
		cmd.Input = strings.Join(lines[input:at], "")
		at++
		b := block{head: strings.Join(lines[start:at], ""), cmd: cmd}
		b.want, at, err = parseOutput(lines, at)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", pos, err)
		}
		blocks = append(blocks, b)
	}
}

// isFiller tells a line between blocks: blank, or a comment.
func isFiller(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

// parseOutput reads the expected output that starts at lines[at] and returns the index of the line behind it.
func parseOutput(lines []string, at int) (output string, next int, err error) {
	start := at
	if at < len(lines) && lines[at] == separator {
		for at++; at+1 < len(lines); at++ {
			if lines[at] == separator && lines[at+1] == separator {
				return strings.Join(lines[start+1:at], ""), at + 2, nil
			}
		}
		return "", 0, fmt.Errorf("output between doubled separators has no end")
	}
	for at < len(lines) && lines[at] != "\n" {
		at++
	}
	return strings.Join(lines[start:at], ""), at, nil
}

// normalize ends the last line of an output with one newline; an empty output stays empty.
func normalize(output string) string {
	output = strings.TrimRight(output, "\n")
	if output == "" {
		return ""
	}
	return output + "\n"
}

// writeOutput returns output, normalized, as it stands in a file, and whether that is between fences.
func writeOutput(output string) (text string, fenced bool, err error) {
	lines := "\n" + output
	if strings.Contains(lines, "\n"+fence) {
		return "", false, fmt.Errorf("output holds the line ---- twice, which a golden file can't show")
	}
	if strings.Contains(lines, "\n\n") || strings.HasPrefix(output, separator) {
		return separator + output + fence, true, nil
	}
	return output, false, nil
}
