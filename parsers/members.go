package parsers

import (
	"bytes"
	"strings"
)

// newLackedTexts is newTexts for texts that lines mostly have none of, so that
// all are sought: keys of JSON members are sought at once, if that saves searches.
func newLackedTexts(words []string) texts {
	const few = 4
	var keys, others []string
	for _, word := range words {
		if strings.Index(word, keyEnding) > 0 {
			keys = append(keys, word)
		} else {
			others = append(others, word)
		}
	}
	if len(newTexts(keys)) <= few {
		return newTexts(words)
	}
	group := alike{members: new(memberTexts)}
	for _, word := range keys {
		before, behind, _ := strings.Cut(word, keyEnding)
		last := before[len(before)-1]
		group.members[last] = append(group.members[last], memberText{[]byte(before), []byte(behind)})
		group.rests = append(group.rests, []byte(word))
	}
	return append(texts{group}, newTexts(others)...)
}

// memberTexts are texts that each have the end of a JSON key. They are sought
// at once, at the colons of a line.
type memberTexts [256][]memberText // by the last byte of the key

// memberText is what stands before and behind the end of a key.
type memberText struct{ before, behind []byte }

const keyEnding = `":`

// in tells whether a line has one of the texts.
func (m *memberTexts) in(line []byte) bool {
	for at := 0; ; {
		i := bytes.IndexByte(line[at:], ':')
		if i < 0 {
			return false
		}
		if at += i + 1; at < len(keyEnding)+1 || line[at-2] != '"' {
			continue
		}
		for _, t := range m[line[at-3]] {
			if bytes.HasSuffix(line[:at-2], t.before) && bytes.HasPrefix(line[at:], t.behind) {
				return true
			}
		}
	}
}
