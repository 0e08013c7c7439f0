package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
)

const (
	flowLine  = " cookie=0x1, duration=2s, table=3, n_packets=4, n_bytes=5, priority=6,ip actions=drop\n"
	entryLine = "udp      17 29 src=192.0.2.10 dst=192.0.2.53 sport=5353 dport=53 src=192.0.2.53 dst=192.0.2.10 sport=53 dport=5353 mark=0 use=1\n"
	groupLine = "OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):\n group_id=10,type=select,bucket=bucket_id:0,weight:100,actions=output:1\n group_id=10,ref_count=0,packet_count=0,byte_count=0\n"
	tables    = "OFPST_TABLE reply (OF1.5) (xid=0x2):\n  table 0:\n    active=3, lookup=20, matched=19\n\n  tables 1...253: ditto\n"
	ports     = "1(eth0): addr:02:00:00:00:00:01\n     config:     0\n     state:      LIVE\n     speed: 0 Mbps now, 0 Mbps max\n" +
		" LOCAL(br-lab): addr:02:00:00:00:00:02\n     config:     PORT_DOWN\n     state:      LINK_DOWN\n     speed: 0 Mbps now, 0 Mbps max\n" +
		"  port  1: rx pkts=1, bytes=1, drop=0, errs=0, frame=0, over=0, crc=0\n           tx pkts=2, bytes=0, drop=0, errs=0, coll=0\n"
	vlogLine = "2024-06-02T10:11:12.345Z|00042|bridge|INFO|ready\n"
)

// member of an archive.
type member struct {
	tar.Header
	text string
}

func packed(t testing.TB, members ...member) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		m.Mode = 0o600
		if m.Size == 0 {
			m.Size = int64(len(m.text))
		}
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func file(name, text string) member { return member{tar.Header{Name: name}, text} }

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBundle(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	f := func(archive string, left int64, wantErr string, want ...string) {
		t.Helper()
		var out bytes.Buffer
		b := &bundle{set: set, left: left, notes: bufio.NewWriter(&out)}
		err := b.members(t.Context(), tar.NewReader(strings.NewReader(archive)))
		if err == nil {
			err = b.verdict()
		}
		if err := b.notes.Flush(); err != nil {
			t.Fatal(err)
		}
		if text := ""; err != nil || wantErr != "" {
			if err != nil {
				text = err.Error()
			}
			if text != wantErr {
				t.Errorf("want error %q, got %q", wantErr, text)
			}
		}
		if diff := cmp.Diff(strings.Join(append(want, ""), "\n"), out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const plenty = 1 << 30
	const oneFlow = "definition ovs-flows: 1 lines parsed, 0 not; layout flow: 1"

	f(packed(t, file("flows", flowLine), file("conntrack", entryLine)), plenty, "",
		"flows: "+oneFlow, "conntrack: definition conntrack: 1 lines parsed, 0 not; layout entry: 1")
	f(packed(t, file("groups", groupLine), file("tables", tables), file("ovsports", ports)), plenty, "",
		"groups: definition ovs-groups: 3 lines parsed, 0 not; layout group: 1; layout stats: 1; layout reply: 1",
		"tables: definition ovs-tables: 3 lines parsed, 0 not; layout table: 2; layout reply: 1",
		"ovsports: definition ovs-ports: 3 lines parsed, 0 not; layout port: 2; layout stats: 1")
	// All of one file, where lines are records.
	f(packed(t, file("dumps", flowLine+groupLine)), plenty, "", "dumps: definition ovs-groups ovs-flows: 4 lines parsed, 0 not; layout group: 1; layout stats: 1; layout reply: 1; layout flow: 1")
	f(packed(t, file("flows.gz", zipped(t, flowLine))), plenty, "", "flows.gz: "+oneFlow)
	// The name tells who wrote what two programs write.
	f(packed(t, file("logs/ovs/ovsdb-server.log", vlogLine), file("logs/ovs/other.log", vlogLine), file("ovsdb-server.log", flowLine)), plenty, "",
		"logs/ovs/ovsdb-server.log: definition ovsdb-server: 1 lines parsed, 0 not; layout file: 1",
		"logs/ovs/other.log: definition ovs-vswitchd: 1 lines parsed, 0 not; layout file: 1",
		"ovsdb-server.log: "+oneFlow)

	// What is passed over, and what is not even named.
	f(packed(
		t, member{tar.Header{Name: "logs", Typeflag: tar.TypeDir}, ""}, member{tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""},
		file("empty", ""), file("agentinfo", "name: a\nnodes: 3\n"), file("memprofile", zipped(t, "\x0a\x00\x12")), file("all.tar.gz", zipped(t, packed(t, file("flows", flowLine)))),
		file("../\x1b[31m", "x\n"), file("flows", flowLine),
	), plenty, "",
		"empty: empty", "agentinfo: no definition parses most of its first lines", "memprofile: binary",
		"all.tar.gz: an archive in the archive: unpack it, and try it by itself", `"../\x1b[31m": no definition parses most of its first lines`, "flows: "+oneFlow)
	f(packed(t, file("agentinfo", "name: a\n")), plenty, "no member has lines of a known format", "agentinfo: no definition parses most of its first lines")
	f(packed(t), plenty, "no member has lines of a known format")

	// The first few lines that do not parse; one that hardly parses is of another format.
	bad := strings.Replace(flowLine, "0x1", "x", 1)
	wrong := "  fits no layout: layout flow got to column 9, where it expected a cookie in hexadecimal\n    " + strings.TrimSuffix(bad, "\n")
	f(packed(t, file("flows", strings.Repeat(flowLine, 5)+strings.Repeat(bad, 4))), plenty, "4 of 9 lines did not parse",
		"flows: definition ovs-flows: 5 lines parsed, 4 not; layout flow: 5", wrong, wrong, wrong)
	f(packed(t, file("flows", flowLine+strings.Repeat(bad, 4))), plenty, "no member has lines of a known format", "flows: no definition parses most of its first lines")

	// What cannot be read.
	cut := zipped(t, strings.Repeat(flowLine, 1000))
	f(packed(t, file("cut.gz", cut[:len(cut)-9]), file("odd.gz", "\x1f\x8bodd"), file("flows", flowLine)), plenty, "2 members could not be read",
		"cut.gz: read lines: unexpected EOF", "odd.gz: unpack gzip: unexpected EOF", "flows: "+oneFlow)
	whole := packed(t, file("flows", flowLine), file("conntrack", strings.Repeat(entryLine, 1000)))
	f(whole[:len(whole)-5000], plenty, "read bundle: unexpected EOF", "flows: "+oneFlow, "conntrack: read lines: unexpected EOF")
	f(whole[:1100], plenty, "read bundle: unexpected EOF", "flows: "+oneFlow)

	// Too much: of a member that is packed once more, and of all together.
	const tooMuch = "read lines: unpacked it has more than 4 GiB; unpack it yourself and name a file in it"
	f(packed(t, file("bomb.gz", zipped(t, strings.Repeat(flowLine, 10000)))), 1<<19, "read bundle: bomb.gz: "+tooMuch)
	two := packed(t, file("flows", flowLine), file("again", flowLine))
	f(two, int64(2*len(flowLine)), "", "flows: "+oneFlow, "again: "+oneFlow)
	f(two, int64(2*len(flowLine)-1), "read bundle: again: "+tooMuch, "flows: "+oneFlow)
}

// A member's time tells the year of its lines.
func TestBundle_Year(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	archive := packed(t, member{tar.Header{Name: "antrea-agent.log", ModTime: time.Date(2022, 3, 1, 0, 0, 0, 0, time.UTC)}, "I0102 10:11:12.000123       1 agent.go:1] Ready\n"})
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	if err := errors.Join(tryBundle(t.Context(), set, nil, "json", strings.NewReader(archive), w), w.Flush()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`{"member":"antrea-agent.log","line":"I0102`, `"time":"2022-01-02T10:11:12.000123Z"`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, out.String())
		}
	}
}

// Empty lines are part of a quoted cell, wherever reading stops.
func TestTry_EmptyLines(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	const row = "2024-11-05T09:30:12.000001+00:00,shop,GET,\"a\n\n\nb\n\n\""
	for _, end := range []string{"\n", "\r\n"} {
		text := "report_timestamp,vs_name,method,user_agent\n\n" + strings.Repeat(row+"\n\n", 2*tryBatch)
		trial := &trial{set: set, lines: bufio.NewReaderSize(strings.NewReader(strings.ReplaceAll(text, "\n", end)), tryLineBytes), reference: time.Now()}
		head, err := trial.head()
		if err != nil {
			t.Fatal(err)
		}
		trial.take(set.Detect(texts(head)))
		err = trial.all(t.Context(), head, func(o outcome) error {
			if o.record == nil || string(o.record.Line) != row {
				t.Fatalf("want %q, got %+v", row, o)
			}
			return nil
		})
		if err != nil || trial.parsed != 2*tryBatch {
			t.Errorf("%v, %d rows", err, trial.parsed)
		}
	}
}

func TestIsBinary(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if isBinary([]byte(text)) != want {
			t.Errorf("%.40q: want %t", text, want)
		}
	}
	f("", false)
	f(flowLine, false)
	f("\x1b[31mred\x1b[0m\tverkehr prüfen ✓\r\n", false)
	f("a line with one odd byte \xff\n", false)
	f("a line with a NUL \x00\n", true)
	f("\xff\xfe\xfd\n", true)
	f("\x01\x02 ab\n", true)
	f(strings.Repeat("é", sniffBytes)[:sniffBytes], false)
	f("a"+strings.Repeat("é", sniffBytes)[:sniffBytes-1], false) // cut within a character
}

// Whatever an archive is, each of its files is tried or passed over by name, each
// record is told once, and no more is unpacked than there may be.
func FuzzBundle(f *testing.F) {
	set, err := parsers.Shipped()
	if err != nil {
		f.Fatal(err)
	}
	huge := func(name string) (text string) { // only the beginning of what it says to have
		var b bytes.Buffer
		if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: name, Size: 1 << 40}); err != nil {
			f.Fatal(err)
		}
		return b.String() + flowLine
	}
	all := packed(f, file("flows", flowLine), file("logs/ovs/groups.gz", zipped(f, groupLine)), file("../../tables", tables), file("/ovsports", ports),
		member{tar.Header{Name: "logs", Typeflag: tar.TypeDir}, ""}, member{tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "../flows"}, ""}, file("empty", ""))
	for _, archive := range []string{
		all, zipped(f, all), all[:len(all)/2], zipped(f, all)[:200], zipped(f, zipped(f, all)), huge("flows"), zipped(f, huge("conntrack.gz")),
		packed(f, file("in.tar", all), file("in.tgz", zipped(f, all)), file("cut.gz", zipped(f, flowLine)[:20]), file(strings.Repeat("a/", 200)+"flows", entryLine)),
		packed(f, file("bomb.gz", zipped(f, strings.Repeat(vlogLine, 50000)))), packed(f), flowLine, "",
	} {
		f.Add([]byte(archive))
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		const most = 1 << 20
		left := int64(most)
		lines, err := unpacked(bytes.NewReader(archive), &left)
		if err != nil || !isTar(lines) {
			return
		}
		var out bytes.Buffer
		b := &bundle{set: set, output: "json", left: most, out: bufio.NewWriter(&out), notes: bufio.NewWriter(io.Discard)}
		err = b.members(t.Context(), tar.NewReader(lines))
		if err := b.out.Flush(); err != nil {
			t.Fatal(err)
		}
		told := 0
		for line := range bytes.Lines(out.Bytes()) {
			var result struct{ Member, Line, Skipped *string }
			if err := json.Unmarshal(line, &result); err != nil || result.Member == nil || (result.Line == nil) == (result.Skipped == nil) {
				t.Fatalf("%s: %v", line, err)
			}
			told++
		}
		if told != b.parsed+b.failed+b.unknown+b.broken || told > most+len(archive) {
			t.Fatalf("%d lines for %+v", told, b)
		}
		if err != nil {
			return
		}
		left, files := most, 0
		if lines, err = unpacked(bytes.NewReader(archive), &left); err != nil {
			t.Fatal(err)
		}
		for again := tar.NewReader(lines); ; {
			header, err := again.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if header.Typeflag == tar.TypeReg {
				files++
			}
		}
		if b.known+b.unknown+b.broken < files { // what could not be read after all is both known and broken
			t.Fatalf("%d files for %+v", files, b)
		}
	})
}
