package parsers

import (
	"bytes"
	"strings"
)

// dumpPlan says which members of a struct are kept that Go's fmt printed with
// %+v, such as the connection in the debug line of Antrea's flow exporter:
//
//	&{ID:1 StartTime:2024-06-02 10:11:12 +0000 UTC FlowKey:{SourcePort:2 …} …}
//
// It is a member itself, with the members in it.
type dumpPlan struct {
	field   int // -1: the member as a whole is not kept
	members map[string]*dumpPlan
}

// newDumpPlan takes paths, such as FlowKey.SourceAddress, with their indices in
// Record.Spans.
func newDumpPlan(fields map[string]int) *dumpPlan {
	root := &dumpPlan{field: -1}
	for path, field := range fields {
		member := root
		for name := range strings.SplitSeq(path, ".") {
			if member.members == nil {
				member.members = map[string]*dumpPlan{}
			}
			if member.members[name] == nil {
				member.members[name] = &dumpPlan{field: -1}
			}
			member = member.members[name]
		}
		member.field = field
	}
	return root
}

// scan keeps the members of the struct that begins at the first brace of a text
// of the record. A nil pointer is no value. What %v prints has no names, and
// gives no values; so does a last value that was cut.
func (p *dumpPlan) scan(r *Record, s Span) {
	text := r.Text(s)
	if brace := bytes.IndexByte(text, '{'); brace >= 0 {
		p.scanMembers(r, s, text, brace+1)
	}
}

// scanMembers gives where the brace is that closes the struct whose members
// begin at, or the end of the text.
func (p *dumpPlan) scanMembers(r *Record, s Span, text []byte, at int) int {
	for {
		var member *dumpPlan
		if key := dumpKeyEnd(text, at); key >= 0 {
			member = p.members[string(text[at:key])]
			at = key + 1
		}
		end := at
		if member != nil && member.members != nil {
			brace := at
			if brace < len(text) && text[brace] == '&' {
				brace++
			}
			if brace < len(text) && text[brace] == '{' {
				end = min(member.scanMembers(r, s, text, brace+1)+1, len(text))
			}
		}
		end = dumpValueEnd(text, end)
		if end == len(text) {
			return end
		}
		if member != nil && member.field >= 0 && end > at && string(text[at:end]) != "<nil>" {
			r.Spans[member.field] = s.sub(at, end)
		}
		if text[end] == '}' {
			return end
		}
		at = end + 1
	}
}

// dumpValueEnd gives where the blank before the next member is, or the brace
// that closes the struct, or else the end of the text.
func dumpValueEnd(text []byte, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			depth++
		case ']':
			depth = max(depth-1, 0)
		case '}':
			if depth == 0 {
				return at
			}
			depth--
		case ' ':
			if depth == 0 && dumpKeyEnd(text, at+1) >= 0 {
				return at
			}
		}
	}
	return at
}

// dumpKeyEnd gives where the colon behind a member's name is, or -1 when there
// is no name at. Only exported members are known: they begin with an upper-case
// letter, which the hours of a time or the groups of an IPv6 address behind a
// blank do not.
func dumpKeyEnd(text []byte, at int) int {
	end := at
	for end < len(text) && isWord(text[end]) && text[end] != '_' {
		end++
	}
	if end == at || end == len(text) || text[end] != ':' || text[at] < 'A' || text[at] > 'Z' {
		return -1
	}
	return end
}
