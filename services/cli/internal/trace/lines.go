package trace

import (
	"bufio"
	"errors"
	"io"
)

// lines reads lines of any length and gives up only those beyond [MaxLineBytes].
type lines struct {
	reader *bufio.Reader
	buffer []byte
	number int // of the line last returned, from 1
}

func newLines(r io.Reader) *lines {
	const bufferBytes = 64 << 10
	return &lines{reader: bufio.NewReaderSize(r, bufferBytes)}
}

// next returns the next line without its end, valid until the next call; tooLong tells that the line was longer
// than allowed and is not returned. At the end it returns [io.EOF].
func (l *lines) next() (line []byte, tooLong bool, err error) {
	l.buffer = l.buffer[:0]
	for {
		part, err := l.reader.ReadSlice('\n')
		if !tooLong {
			l.buffer = append(l.buffer, part...)
		}
		if len(l.buffer) > MaxLineBytes {
			tooLong, l.buffer = true, l.buffer[:0]
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(l.buffer) == 0 && !tooLong) {
			return nil, false, err
		}
		l.number++
		return trimEnd(l.buffer), tooLong, nil
	}
}

// trimEnd cuts the end of a line, as written on any system.
func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}
